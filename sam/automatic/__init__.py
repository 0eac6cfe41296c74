"""Automatic mask generation (paper section B): grid, crops, filters, settings."""
