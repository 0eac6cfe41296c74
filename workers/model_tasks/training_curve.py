"""Store the curve of a training while it runs, so that a lead can watch it."""

from __future__ import annotations

import logging
import math
import time

from django.db import DatabaseError

from engine.models import ModelVersion
from engine.services.models import model_versions
from workers.execution.context import JobContext

logger = logging.getLogger(__name__)

KEPT_FIGURES = ("loss", "first_iou", "last_iou")
MAX_POINTS = 240
"""More than a page's width shows; beyond it every other point is dropped."""
KEEP_EVERY_S = 2.0

Point = dict[str, float]


class TrainingCurve:
    """Receives the progress of a training; reports it and stores its figures with the version.

    A resumed run repeats steps: points from the first repeated one on are replaced.
    """

    def __init__(self, context: JobContext, version: ModelVersion) -> None:
        self._context = context
        self._version = version
        self._points: list[Point] = model_versions.curve_of(version)
        self._stride = 1
        self._kept_at_s = -math.inf

    def __call__(self, fraction: float, message: str, **figures: float) -> None:
        self._context.report(fraction, message)
        if "step" not in figures:
            return
        self._add(figures)
        if time.monotonic() - self._kept_at_s >= KEEP_EVERY_S:
            self._kept_at_s = time.monotonic()
            try:
                self._context.publish_quietly(self.keep)
            except DatabaseError as error:  # a missing curve is not worth failing a training
                logger.warning("the curve was not kept, trying again: %s", error)

    def keep(self) -> None:
        """Store the points there are; the last call belongs to the effects of the job."""
        model_versions.keep_curve(self._version, points=self._points)

    def _add(self, figures: dict[str, float]) -> None:
        step = figures["step"]
        while self._points and self._points[-1]["step"] >= step:
            self._points.pop()
        values = {name: figures[name] for name in KEPT_FIGURES if name in figures}
        if step % self._stride:
            return
        if not all(math.isfinite(value) for value in values.values()):
            values = {name: value for name, value in values.items() if math.isfinite(value)}
        self._points.append({"step": step, **values})
        while len(self._points) > MAX_POINTS:
            self._points = self._points[1::2]
            self._stride *= 2
