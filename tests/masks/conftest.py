from __future__ import annotations

from hypothesis import settings

settings.register_profile("no deadline", deadline=None)  # wall time says little on a busy machine
settings.load_profile("no deadline")
