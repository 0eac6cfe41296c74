"""Image encoders: a file for each kind, with its configuration, its module and its `SPEC`."""
