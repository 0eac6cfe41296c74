"""Rules as plain Python and data. No Django, no I/O."""
