"""The optimisation loop, its run folder, processes and stop signals."""
