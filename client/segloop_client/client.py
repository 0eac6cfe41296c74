"""The client: one method for each thing a script does with a Segloop."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from segloop_client.archives import FileForm, archive_of
from segloop_client.errors import ApiError, ChecksumError, JobFailed, SegloopError, WaitedTooLong
from segloop_client.http import Http
from segloop_client.loop import LoopCalls
from segloop_client.operations import Operation, Save
from segloop_client.prompts import Prompt
from segloop_client.shapes import (
    Decoded,
    Export,
    Image,
    ImageRow,
    Import,
    Job,
    Mask,
    Me,
    Model,
    OperationResult,
    Project,
    RefusedFile,
    SavedMask,
    Session,
    Uploaded,
)

FILES_PER_REQUEST = 8
OPERATIONS_PER_REQUEST = 200
CHUNK_BYTES = 1 << 20
OVER = {"succeeded", "failed", "dead", "cancelled"}
OnProgress = Callable[[Job], object]


class Client:
    """Talks to one server as the owner of a token.

    Every method raises ApiError when the server refuses and Unreachable when it cannot be reached.
    What is safe to repeat (reading, saving under ids of our own, uploading) is tried again.
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: str,
        timeout_s: float = 60.0,
        num_tries: int = 5,
        first_wait_s: float = 0.5,
    ) -> None:
        self._http = Http(
            base_url,
            token=token,
            timeout_s=timeout_s,
            num_tries=num_tries,
            first_wait_s=first_wait_s,
        )
        self.loop = LoopCalls(self._http)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    # --- projects and images ---------------------------------------------------------------

    def me(self) -> Me:
        """Who the token acts as."""
        return Me.model_validate(self._http.json("GET", "/me", may_repeat=True))

    def projects(self) -> list[Project]:
        """Your projects, newest first."""
        return [
            Project.model_validate(one)
            for one in self._http.json("GET", "/projects", may_repeat=True)
        ]

    def create_project(self, name: str) -> Project:
        """Create a project that you lead. Not repeated: a lost answer may have made one."""
        return Project.model_validate(
            self._http.json("POST", "/projects", body={"name": name}, may_repeat=False)
        )

    def images(self, slug: str, *, page_size: int = 100) -> Iterator[ImageRow]:
        """Every image of a project, oldest first, fetched a page at a time."""
        after: str | None = None
        while True:
            query = {"limit": str(page_size)} | ({"after": after} if after else {})
            path = f"/projects/{slug}/images"
            page = self._http.json("GET", path, query=query, may_repeat=True)
            yield from (ImageRow.model_validate(one) for one in page["images"])
            after = page["next"]
            if after is None:
                return

    def upload_images(self, slug: str, paths: Iterable[str | Path]) -> Uploaded:
        """Add photos, a few a request; which files were refused, and why, is in the answer."""
        done = Uploaded()
        batch: list[tuple[str, tuple[str, bytes]]] = []
        for path in paths:
            batch.append(("file", (Path(path).name, Path(path).read_bytes())))
            if len(batch) == FILES_PER_REQUEST:
                self._upload(slug, batch, done)
                batch = []
        if batch:
            self._upload(slug, batch, done)
        return done

    def _upload(
        self, slug: str, batch: list[tuple[str, tuple[str, bytes]]], done: Uploaded
    ) -> None:
        try:
            body = self._http.upload(f"/projects/{slug}/images", batch)
        except ApiError as error:
            if error.status != 422 or "refused" not in error.body:
                raise
            body = error.body
        done.images.extend(Image.model_validate(one) for one in body["images"])
        refused = body.get("refused", [])
        done.refused.extend(RefusedFile.model_validate(one) for one in refused)

    def download_image(self, image: Image, to: str | Path) -> Path:
        """Fetch the photo as stored: oriented, without metadata; masks are in its pixels."""
        return self._download(image.file_url, Path(to), sha256=None)

    # --- labelling -------------------------------------------------------------------------

    def next_session(self, slug: str, *, image_id: UUID | None = None) -> Session | None:
        """Lease the next image, or the named one; None when nothing is left to label."""
        body = {} if image_id is None else {"image_id": str(image_id)}
        path = f"/projects/{slug}/assignments/next"
        answer = self._http.json("POST", path, body=body, may_repeat=True)
        return None if answer is None else Session.model_validate(answer)

    def extend(self, assignment_id: UUID) -> None:
        """Start the lease anew."""
        self._http.json("POST", f"/assignments/{assignment_id}/extend", may_repeat=True)

    def submit(self, assignment_id: UUID, *, num_left_out: int = 0) -> None:
        """Say that the image is done, and how many of its objects were too hard to outline."""
        path = f"/assignments/{assignment_id}/submit"
        self._http.json("POST", path, body={"num_left_out": num_left_out}, may_repeat=True)

    def skip(self, assignment_id: UUID, *, reason: str = "", num_left_out: int = 0) -> None:
        """Leave the image to somebody else; `num_left_out` as in `submit`."""
        path = f"/assignments/{assignment_id}/skip"
        body = {"reason": reason, "num_left_out": num_left_out}
        self._http.json("POST", path, body=body, may_repeat=True)

    def save_mask(self, assignment_id: UUID, save: Save) -> SavedMask:
        """Store one revision; the same `save` again changes nothing."""
        path = f"/assignments/{assignment_id}/masks"
        return SavedMask.model_validate(
            self._http.json("POST", path, body=save.mask_json(), may_repeat=True)
        )

    def apply(self, assignment_id: UUID, operations: Sequence[Operation]) -> list[OperationResult]:
        """Apply operations in order, many a request; each is answered by itself."""
        path = f"/assignments/{assignment_id}/operations"
        results: list[OperationResult] = []
        for start in range(0, len(operations), OPERATIONS_PER_REQUEST):
            part = operations[start : start + OPERATIONS_PER_REQUEST]
            body = {"operations": [one.to_json() for one in part]}
            answer = self._http.json("POST", path, body=body, may_repeat=True)
            results.extend(OperationResult.model_validate(one) for one in answer["results"])
        return results

    def masks(self, image_id: UUID) -> list[Mask]:
        """Every mask of an image, rejected ones too."""
        answer = self._http.json("GET", f"/images/{image_id}/masks", may_repeat=True)
        return [Mask.model_validate(one) for one in answer]

    def accept_mask(self, mask_id: UUID) -> Mask:
        return Mask.model_validate(
            self._http.json("POST", f"/masks/{mask_id}/accept", may_repeat=True)
        )

    def reject_mask(self, mask_id: UUID) -> Mask:
        return Mask.model_validate(
            self._http.json("POST", f"/masks/{mask_id}/reject", may_repeat=True)
        )

    def decode(
        self, image: Image, model: Model, prompts: Sequence[Prompt], *, crop: str | None = None
    ) -> Decoded:
        """Masks for points and at most one box. ApiError not_ready: its embedding is being made.

        crop: "level-row-column", the square crop of the image to decode in, for small objects. It
        holds every prompt; prompts and masks stay in pixels of the whole image.
        """
        body: dict[str, Any] = {
            "model_version_id": str(model.id),
            "encoder_sha256": model.encoder_sha256,
            "prompts": [prompt.to_json() for prompt in prompts],
        }
        if crop is not None:
            body["crop"] = crop
        path = f"/images/{image.id}/decode"
        return Decoded.model_validate(self._http.json("POST", path, body=body, may_repeat=True))

    # --- datasets in -----------------------------------------------------------------------

    def request_import(self, slug: str, path: str | Path) -> Import:
        """Send a zip archive or a folder, with COCO or SA-1B annotations or without, and queue it.

        Not repeated. Sending the same dataset again is harmless: nothing is taken twice.
        """
        with archive_of(Path(path)) as archive:
            answer = self._http.send_file(f"/projects/{slug}/imports", FileForm(archive))
        return Import.model_validate(answer)

    def imports(self, slug: str) -> list[Import]:
        """The last imports of a project, newest first."""
        answer = self._http.json("GET", f"/projects/{slug}/imports", may_repeat=True)
        return [Import.model_validate(one) for one in answer]

    def import_(self, import_id: UUID) -> Import:
        return Import.model_validate(
            self._http.json("GET", f"/imports/{import_id}", may_repeat=True)
        )

    def wait_for_import(
        self,
        import_id: UUID,
        *,
        on_progress: OnProgress | None = None,
        poll_s: float = 1.0,
        timeout_s: float | None = None,
    ) -> Import:
        """Wait until an import is done; see wait_for_job."""
        job = self.import_(import_id).job
        if job is None:
            raise SegloopError("this import has no job")
        self.wait_for_job(job.id, on_progress=on_progress, poll_s=poll_s, timeout_s=timeout_s)
        return self.import_(import_id)

    def refused_by_import(self, import_id: UUID, *, page_size: int = 1000) -> Iterator[RefusedFile]:
        """What a finished import did not take, and why, in the order of the dataset's files."""
        offset = 0
        while True:
            query = {"limit": str(page_size), "offset": str(offset)}
            path = f"/imports/{import_id}/refused"
            page = self._http.json("GET", path, query=query, may_repeat=True)["refused"]
            yield from (RefusedFile.model_validate(one) for one in page)
            if len(page) < page_size:
                return
            offset += page_size

    # --- jobs and exports ------------------------------------------------------------------

    def jobs(self, slug: str) -> list[Job]:
        """Live jobs first, then those that ended last."""
        answer = self._http.json("GET", f"/projects/{slug}/jobs", may_repeat=True)
        return [Job.model_validate(one) for one in answer]

    def job(self, job_id: UUID) -> Job:
        return Job.model_validate(self._http.json("GET", f"/jobs/{job_id}", may_repeat=True))

    def cancel_job(self, job_id: UUID) -> Job:
        return Job.model_validate(
            self._http.json("POST", f"/jobs/{job_id}/cancel", may_repeat=False)
        )

    def wait_for_job(
        self,
        job_id: UUID,
        *,
        on_progress: OnProgress | None = None,
        poll_s: float = 1.0,
        timeout_s: float | None = None,
    ) -> Job:
        """Wait until a job has succeeded; JobFailed says why it has not.

        on_progress is called with the job whenever its progress has changed.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        shown: Job | None = None
        while True:
            job = self.job(job_id)
            if on_progress is not None and (shown is None or _moved(shown, job)):
                on_progress(job)
                shown = job
            if job.status == "succeeded":
                return job
            if job.status in OVER:
                raise JobFailed(f"{job.kind} {job.status}: {job.error or 'no reason was given'}")
            if deadline is not None and time.monotonic() + poll_s > deadline:
                raise WaitedTooLong(f"{job.kind} is still {job.status} after {timeout_s} s")
            time.sleep(poll_s)

    def request_export(self, slug: str, format: str) -> Export:
        """Queue an export: sa1b or coco."""
        path = f"/projects/{slug}/exports"
        return Export.model_validate(
            self._http.json("POST", path, body={"format": format}, may_repeat=False)
        )

    def export(self, export_id: UUID) -> Export:
        return Export.model_validate(
            self._http.json("GET", f"/exports/{export_id}", may_repeat=True)
        )

    def wait_for_export(
        self,
        export_id: UUID,
        *,
        on_progress: OnProgress | None = None,
        poll_s: float = 1.0,
        timeout_s: float | None = None,
    ) -> Export:
        """Wait until an export is written; see wait_for_job."""
        job = self.export(export_id).job
        if job is None:
            raise SegloopError("this export has no job")
        self.wait_for_job(job.id, on_progress=on_progress, poll_s=poll_s, timeout_s=timeout_s)
        return self.export(export_id)

    def download_export(self, export: Export, to: str | Path) -> Path:
        """Fetch a written export; ChecksumError, and no file, when its SHA-256 is another."""
        if export.file_url is None or export.sha256 is None:
            raise SegloopError(f"this export is {export.status}, not ready")
        return self._download(export.file_url, Path(to), sha256=export.sha256)

    def _download(self, url_path: str, to: Path, *, sha256: str | None) -> Path:
        part = to.with_name(to.name + ".part")
        digest = hashlib.sha256()
        try:
            with self._http.stream(url_path) as response, part.open("wb") as file:
                for chunk in self._http.chunks(response, CHUNK_BYTES):
                    digest.update(chunk)
                    file.write(chunk)
            if sha256 is not None and digest.hexdigest() != sha256:
                raise ChecksumError(f"{url_path}: got {digest.hexdigest()}, not {sha256}")
            return part.replace(to)
        finally:
            part.unlink(missing_ok=True)


def _moved(before: Job, now: Job) -> bool:
    return (before.status, before.progress_pct, before.progress_line) != (
        now.status,
        now.progress_pct,
        now.progress_line,
    )
