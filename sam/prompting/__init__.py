"""Prompts in, masks out: checking prompts, predicting, choosing and resizing masks."""
