"""Images of a project: uploading, browsing, bytes and decoding."""
