"""Losses and the simulated annotator of the interactive loss (paper section A)."""
