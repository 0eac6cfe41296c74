"""Speed against named peers, run by hand: `python -m benchmarks.encoder` and its neighbours.

Every script runs both sides in turn in one process, or in one process each where memory is
measured, and prints the ratio. They need the test packages (`make setup-dev`).
"""
