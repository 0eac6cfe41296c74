"""Whether the network runs to be recorded as a graph."""

import torch


def is_tracing() -> bool:
    """Return whether a graph is being recorded for export."""
    return bool(torch._C._get_tracing_state())
