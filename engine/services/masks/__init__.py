"""Masks: save, review, propose, import, pack; assignments."""
