"""Model and embedding files: our format, the official one, downloads."""
