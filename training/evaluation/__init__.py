"""Metrics, simulated sessions, comparisons and reports."""
