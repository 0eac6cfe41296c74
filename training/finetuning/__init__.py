"""Training of the mask model: decoder, adapters or everything."""
