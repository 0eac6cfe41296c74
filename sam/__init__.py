"""The promptable segmentation model: network, prediction, checkpoints and browser export.

A torch library; it knows nothing of the platform that uses it.
"""
