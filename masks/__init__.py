"""Exact binary masks: run-length codes, boxes, regions and overlap; and the pixels under them.

A leaf library on numpy (and Pillow, in rgb); it knows neither the model nor the platform.
"""
