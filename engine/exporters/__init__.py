"""Dataset formats. A format is a module of three functions: see records.Format."""

from __future__ import annotations

from collections.abc import Mapping

from engine.domain.states import ExportFormat
from engine.exporters import coco, sa1b
from engine.exporters.records import Format

FORMATS: Mapping[ExportFormat, Format] = {
    ExportFormat.SA1B: sa1b,
    ExportFormat.COCO: coco,
}
