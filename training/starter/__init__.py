"""The recipe of the shipped starter model, from raw sets to `starter.safetensors`.

`python -m training.starter --data DIR --out DIR --hours H` runs it.
"""
