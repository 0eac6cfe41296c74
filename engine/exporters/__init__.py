"""Dataset formats. A format is one function: records in, files in a folder out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from engine.domain.states import ExportFormat
from engine.exporters import coco, sa1b
from engine.exporters.records import Records, Written

FORMATS: Mapping[ExportFormat, Callable[[Records, Path], Written]] = {
    ExportFormat.SA1B: sa1b.write,
    ExportFormat.COCO: coco.write,
}
