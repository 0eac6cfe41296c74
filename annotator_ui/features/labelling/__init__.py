"""Labelling an image: sessions, masks and suggestions."""
