"""Exact binary masks: run-length codes, boxes, regions and overlap.

A leaf library on numpy; it knows neither the model nor the platform.
"""
