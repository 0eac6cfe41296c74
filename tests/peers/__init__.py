"""Other implementations of SAM with the same weights as ours; tests and benchmarks compare.

None of them is needed to run Segloop.
"""
