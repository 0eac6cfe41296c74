"""Masks: save, judge, propose, import, pack; assignments."""
