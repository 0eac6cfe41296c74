"""How much people and programs may send: each limit of the product, once."""

from __future__ import annotations

MAX_REASON_CHARACTERS = 500
"""Of why somebody skips, moves, changes or promotes: a few sentences."""
MAX_MASKS_PER_IMAGE = 2_000
"""Four times the densest SA-1B image; a page or a loop gone wild must end somewhere."""
MAX_RLE_CHARACTERS = 4_000_000
"""About 60 megapixels of ragged outline; beyond it is noise or an attack."""
MAX_PROMPTS_PER_MASK = 500
MAX_LABEL_CHARACTERS = 200
MAX_ANNOTATE_MS = 24 * 3_600_000
MAX_OPERATIONS_PER_BATCH = 200
"""Mask operations in one request: a day of work kept offline goes out in a few requests."""
