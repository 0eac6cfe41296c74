"""The built front end: whether Vite's manifest names an entry point."""

from __future__ import annotations

import json

from django.conf import settings


def is_built(entry: str) -> bool:
    """Tell whether the bundle's manifest exists and names the entry point."""
    try:
        manifest = json.loads((settings.UI_DIST_DIR / "manifest.json").read_text())
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and entry in manifest
