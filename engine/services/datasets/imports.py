"""Datasets in: ask for an import, take what is sound, report the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from django.conf import settings
from django.db import transaction

from engine import storage
from engine.domain.errors import Conflict, InvalidInput
from engine.domain.jobs import JobKind
from engine.domain.roles import Permission
from engine.domain.states import ImportStatus
from engine.importers.plans import plan
from engine.importers.records import Annotation, File, ForeignMask, RefusedItem
from engine.importers.shapes import mask_of
from engine.importers.sources import open_source
from engine.models import DatasetImport, Job, Project, User
from engine.models.base import NAME_CHARACTERS
from engine.services.images.images import ingest_image
from engine.services.jobs import jobs
from engine.services.masks.imported_masks import record_imported
from engine.services.people.roles import require
from engine.services.text import clean_line
from engine.services.transitions import move

ARCHIVE_KIND = "imports"
REPORT_KIND = "reports"
MAX_LISTED = 100_000
"""Refusals in a report; beyond it only their number grows."""

OnProgress = Callable[[float, str], None]


@dataclass(slots=True)
class Report:
    """What an import did. `refused` names each thing that was not taken."""

    num_images: int = 0
    num_known_images: int = 0
    num_masks: int = 0
    num_known_masks: int = 0
    num_refused: int = 0
    refused: list[RefusedItem] = field(default_factory=list)

    def refuse(self, refused: Sequence[RefusedItem]) -> None:
        self.num_refused += len(refused)
        self.refused.extend(refused[: max(MAX_LISTED - len(self.refused), 0)])

    @property
    def counts(self) -> dict[str, int]:
        return {
            "num_images": self.num_images,
            "num_known_images": self.num_known_images,
            "num_masks": self.num_masks,
            "num_known_masks": self.num_known_masks,
            "num_refused": self.num_refused,
        }


def request_archive_import(
    project: Project, *, path: Path, name: str, actor: User
) -> DatasetImport:
    """Queue the import of an uploaded zip, which is copied into storage first.

    InvalidInput when it is too large or no zip archive at all.
    """
    require(actor, Permission.ADD_IMAGES, project)
    name = _display_name(name)
    size_bytes = path.stat().st_size
    if size_bytes > settings.MAX_ARCHIVE_BYTES:
        raise InvalidInput(f"{name}: it has more than {settings.MAX_ARCHIVE_BYTES // 2**20} MB")
    try:
        open_source(path, max_unpacked_bytes=settings.MAX_UNPACKED_BYTES).close()
    except InvalidInput as error:  # at once, not by a failed job
        raise InvalidInput(error.message.replace(path.name, name), code="not_an_archive") from None
    key = storage.put_file(ARCHIVE_KIND, path, ".zip")
    return _request(project, name=name, archive_key=key, actor=actor)


def request_folder_import(project: Project, *, path: Path, actor: User) -> DatasetImport:
    """Queue the import of a folder or archive of this machine. For commands, never for HTTP."""
    require(actor, Permission.ADD_IMAGES, project)
    path = path.resolve()
    if not path.exists():
        raise InvalidInput(f"{path}: there is no such folder or file")
    return _request(project, name=_display_name(path.name), folder=str(path), actor=actor)


@transaction.atomic
def _request(project: Project, *, actor: User, **columns: str) -> DatasetImport:
    run = DatasetImport.objects.create(project=project, requested_by=actor, **columns)
    run.job = jobs.enqueue(
        JobKind.IMPORT, project=project, args={"import": run.pk}, idem_key=f"import:{run.pk}"
    )
    run.save(update_fields=["job"])
    return run


def run_import(run: DatasetImport, *, on_progress: OnProgress) -> Report:
    """Take in every sound image and mask, one image a transaction.

    Safe to run again after a kill: bytes that are known are not decoded, masks have derived ids.
    on_progress may raise to stop between two images; what is in stays in. InvalidInput when
    nothing can be read at all.
    """
    place = Path(run.folder) if run.folder else storage.local_copy(run.archive_key)
    report = Report()
    try:
        source = open_source(place, max_unpacked_bytes=settings.MAX_UNPACKED_BYTES)
    except InvalidInput as error:
        raise InvalidInput(error.message.replace(place.name, run.name)) from None
    try:
        on_progress(0.0, "reading the list of files")
        found = plan(source)
        report.refuse(found.refused)
        for done, (file, annotations) in enumerate(found):
            num_all = len(found.images)
            on_progress(done / num_all, _progress_text(report, done=done, num_all=num_all))
            _take(run, file, annotations, report=report)
        on_progress(1.0, _progress_text(report, done=len(found.images), num_all=len(found.images)))
    finally:
        source.close()
    return report


@transaction.atomic
def attach_report(run: DatasetImport, *, report: Report) -> DatasetImport:
    """Say that the import is done, and keep its report."""
    run.refresh_from_db()
    if run.status != ImportStatus.PENDING:
        raise Conflict(f"the import is {run.status} already")
    lines = b"".join(
        orjson.dumps({"name": one.name, "reason": one.reason}, option=orjson.OPT_APPEND_NEWLINE)
        for one in report.refused
    )
    key = storage.put_bytes(REPORT_KIND, lines, ".jsonl")
    move(run, ImportStatus.DONE, changes={"report_key": key, **report.counts})
    return run


def fail_import(job: Job) -> None:
    """Mark the import of an abandoned job as failed."""
    _move_import(job, ImportStatus.PENDING, ImportStatus.FAILED, reason=job.status)


def reopen_import(job: Job) -> None:
    """Let the import of a job that is tried again wait for it."""
    _move_import(job, ImportStatus.FAILED, ImportStatus.PENDING, reason="retried")


def _move_import(job: Job, expected: ImportStatus, to: ImportStatus, *, reason: str) -> None:
    run = DatasetImport.objects.filter(pk=job.args["import"]).first()
    if run is not None and run.status == expected:
        move(run, to, reason=reason)


def refused_by(run: DatasetImport) -> Iterator[RefusedItem]:
    """Read what an import refused, in the order of its files; nothing before it is done."""
    if not run.report_key:
        return
    with storage.open(run.report_key) as file:
        for line in file:
            yield RefusedItem(**orjson.loads(line))


def report_bytes(run: DatasetImport) -> bytes:
    """The whole report as JSON lines {"name", "reason"}."""
    return storage.read_bytes(run.report_key)


def _take(
    run: DatasetImport, file: File, annotations: Sequence[Annotation], *, report: Report
) -> None:
    """Take one image and its masks; what is wrong with them goes into the report."""
    try:
        data = file.read(settings.MAX_UPLOAD_BYTES)
        image, created = ingest_image(
            run.project, data=data, file_name=file.name, actor=run.requested_by
        )
    except InvalidInput as error:
        report.refuse([RefusedItem(name=file.name, reason=_without_name(error.message, file.name))])
        report.refuse(
            [RefusedItem(name=one.name, reason="its image was refused") for one in annotations]
        )
        return
    report.num_images += created
    report.num_known_images += not created
    masks: list[ForeignMask] = []
    for annotation in annotations:
        try:
            masks.append(mask_of(annotation, image_hw=(image.height_px, image.width_px)))
        except InvalidInput as error:
            report.refuse([RefusedItem(name=annotation.name, reason=error.message)])
    if masks:
        recorded = record_imported(image, masks=masks, actor=run.requested_by)
        report.num_masks += recorded.num_new
        report.num_known_masks += recorded.num_known
        report.refuse(recorded.refused)


def _progress_text(report: Report, *, done: int, num_all: int) -> str:
    refused = f", {report.num_refused} refused" if report.num_refused else ""
    return f"image {done} of {num_all}, {report.num_masks} masks{refused}"


def _without_name(message: str, name: str) -> str:
    """Drop the file name that some refusals begin with: the report has a column for it."""
    last = name.rsplit("/", 1)[-1]
    return message.removeprefix(f"{name}: ").removeprefix(f"{last}: ")


def _display_name(name: str) -> str:
    last = name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1][-NAME_CHARACTERS:]
    return clean_line(last, what="the name", max_characters=NAME_CHARACTERS) or "dataset"
