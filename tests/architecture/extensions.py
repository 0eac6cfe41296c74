"""Stand-ins for what somebody adds in a file of their own: two formats and a kind of job.

Nothing in the packages knows this file; test_extension_points.py registers what is in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

from engine.domain.jobs import FILES, Argument, JobSpec
from engine.exporters.records import Dataset, ImageRecord, Member
from engine.importers.records import Annotation, Content, Found, Group
from engine.models import Job
from workers.execution.context import Effects, JobContext


class AreasExporter:
    """An export of one line an image: its name and the areas of its masks."""

    NAME = "areas"
    TITLE = "Areas"
    DESCRIPTION = "One line an image with the areas of its masks."

    def members(self, record: ImageRecord) -> Iterable[Member]:
        return ()

    def lines(self, record: ImageRecord, dataset: Dataset) -> Mapping[str, bytes]:
        areas = " ".join(str(mask.area_px) for mask in record.masks)
        return {"areas.part": f"{record.file_name} {areas}\n".encode()}

    def whole_files(
        self, dataset: Dataset, fragments: Mapping[str, Iterator[bytes]]
    ) -> Iterable[tuple[str, Iterable[bytes]]]:
        yield "areas.txt", fragments["areas.part"]


class BoxImporter:
    """Boxes `x0 y0 x1 y1`, one a line, in a .box file beside each image."""

    NAME = "box"
    TITLE = "Boxes"
    DESCRIPTION = "A .box file beside each image: x0 y0 x1 y1, one box a line."
    SUFFIXES = frozenset({".box"})

    def recognises(self, content: Content) -> bool:
        return True

    def read(self, content: Content) -> Found:
        annotations = []
        for place, line in enumerate(content.file.read(10_000).decode().splitlines()):
            x0, y0, x1, y1 = map(float, line.split())
            annotations.append(
                Annotation(
                    file=content.name,
                    annotation_id=str(place),
                    segmentation=[[x0, y0, x1, y0, x1, y1, x0, y1]],
                    category="box",
                    is_crowd=False,
                    size_hw=None,
                )
            )
        image_name = PurePosixPath(content.name).with_suffix(".png").name
        group = Group(file=content.name, image_name=image_name, annotations=annotations)
        return Found(groups=[group])


class AnyJsonImporter(BoxImporter):
    """A careless importer: it takes every JSON file for its own."""

    NAME = "anyjson"
    TITLE = "Any JSON"
    SUFFIXES = frozenset({".json"})


GREETING = JobSpec(
    title="Greet somebody",
    queue=FILES,
    priority=20,
    args={"name": Argument.TEXT},
    task="tests.architecture.extensions",
    subject="tests.architecture.extensions.names",
    on_abandoned="tests.architecture.extensions.note_abandoned",
    on_retry="tests.architecture.extensions.note_retry",
)
ended: list[str] = []
"""What the two functions below were called for."""


def names(jobs: Sequence[Job]) -> Mapping[UUID, str]:
    return {job.pk: job.args["name"] for job in jobs}


def note_abandoned(job: Job) -> None:
    ended.append(f"abandoned {job.args['name']}")


def note_retry(job: Job) -> None:
    ended.append(f"retried {job.args['name']}")


def run(context: JobContext) -> Effects:
    """The task of `greet`."""
    greeting = {"greeting": f"Hello, {context.args['name']}"}

    def effects() -> dict[str, Any]:
        return greeting

    return effects
