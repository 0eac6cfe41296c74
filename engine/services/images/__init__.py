"""Images: ingest, decode, embed, draw overlays, split."""
