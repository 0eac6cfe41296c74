"""The kinds of background work: how each is run, what pages show of it, what its end entails.

A kind is a `JobSpec` in `JOB_SPECS` and a task in workers/tasks/<kind>.py; the queue itself is in
services/jobs/jobs.py. Code above this layer is named by dotted path and loaded when it is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from engine.domain.errors import InvalidInput
from engine.domain.registry import Registry

CPU = "cpu"
FILES = "files"
GPU = "gpu"
QUEUES = (CPU, FILES, GPU)
"""Three lanes. A person may be waiting for what is in `cpu` (seconds a job). `files` moves whole
datasets in and out and needs no model, `gpu` trains and searches; both take minutes to hours. In
one queue an annotator's embedding would wait for an import or a training."""


URGENT = 1
"""Priority of what somebody is looking at this very moment, before every kind's own."""
NOBODY_WAITS = 35
"""Priority of quick work that may come after all other quick work."""
CANCEL_GRACE_S = 5.0
"""How long a task that must stop may take to notice, before its process gets SIGTERM ..."""
KILL_GRACE_S = 10.0
"""... and how long after that until SIGKILL."""


class JobKind(StrEnum):
    """The kinds that this code queues by name; `JOB_SPECS` may hold more."""

    EMBED_PROJECT = "embed_project"
    EMBED_IMAGE = "embed_image"
    EXPORT_DECODER = "export_decoder"
    PRELABEL_IMAGE = "prelabel_image"
    AUTOMASK_IMAGE = "automask_image"
    SUGGEST_MASKS = "suggest_masks"
    TRAIN_SAM = "train_sam"
    TRAIN_DETECTOR = "train_detector"
    EVALUATE_SAM = "evaluate_sam"
    EXPORT = "export"
    IMPORT = "import"


class Argument(StrEnum):
    """What the value of a job's argument is."""

    ROW_ID = "the id of a row"
    TEXT = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """How a kind of job is run, shown and ended."""

    title: str
    """What pages call it."""
    queue: str
    priority: int
    """Lower runs first. An annotator waits for embeddings; nobody waits for automatic masks."""
    args: Mapping[str, Argument] = field(default_factory=dict)
    """Arguments that every job of the kind has, by name."""
    optional_args: Mapping[str, Argument] = field(default_factory=dict)
    """Arguments that may be left out, by name."""
    task: str = ""
    """Dotted path of the module whose `run(context)` is the task; usually workers.tasks.<kind>."""
    subject: str = ""
    """Dotted path of a function that names what jobs work on: jobs -> {id of the job: words}."""
    is_per_image: bool = False
    """There may be thousands of them, one an image: pages count those that wait or are done."""
    on_abandoned: str = ""
    """Dotted path of a function of the job, called in the transaction that ends it unsuccessfully:
    its attempts are used up, it may not be tried again, or it is cancelled."""
    on_retry: str = ""
    """Dotted path of a function of the job, called when a person queues a failed job again."""
    max_attempts: int = 3
    lease_s: float = 30
    """A worker that has not beaten for this long is taken for dead."""
    stall_s: float = 300
    """A task that reports no progress for this long is taken for hung."""
    deadline_s: float = 900
    """A task that runs longer than this, progress or not, is stopped; the attempt has failed."""

    def __post_init__(self) -> None:
        if self.queue not in QUEUES:
            raise ValueError(f"queue must be one of {', '.join(QUEUES)}, not {self.queue!r}")


JOB_SPECS = Registry[JobSpec]("kind of job")


def title_of(kind: str) -> str:
    """Return a kind's name for people; of one that is no longer there, its plain name."""
    return JOB_SPECS[kind].title if kind in JOB_SPECS else kind


def task_module_of(kind: str) -> str:
    """Return the dotted path of the module that holds a kind's task."""
    return JOB_SPECS[kind].task or f"workers.tasks.{kind}"


def stored_args(kind: str, args: Mapping[str, object]) -> dict[str, str]:
    """Return a job's arguments as they are stored; InvalidInput when they are not the kind's."""
    spec = JOB_SPECS.require(kind)
    if set(args) - set(spec.optional_args) != set(spec.args):
        raise InvalidInput(f"a {kind} job takes {sorted(spec.args)}, not {sorted(args)}")
    types = {**spec.optional_args, **spec.args}
    for name, value in args.items():
        if types[name] == Argument.ROW_ID:
            _require_id(value, what=f"{name} of a job ({kind})")
    return {name: str(value) for name, value in args.items()}


def _require_id(value: object, *, what: str) -> None:
    try:
        UUID(str(value))
    except ValueError:
        raise InvalidInput(f"{what} must be {Argument.ROW_ID}, not {value!r}") from None


HOUR_S = 3600.0

_IMAGE = {"image": Argument.ROW_ID}
_IMAGE_IN_STAGE = {"image": Argument.ROW_ID, "stage": Argument.ROW_ID}
_VERSION = {"model_version": Argument.ROW_ID}
_SUBJECTS = "engine.services.jobs.job_subjects"
_VERSION_OUTCOMES = "engine.services.models.version_outcomes"
_EXPORTS = "engine.services.datasets.exports"
_IMPORTS = "engine.services.datasets.imports"

_OWN: Mapping[JobKind, JobSpec] = {
    JobKind.EXPORT_DECODER: JobSpec(
        title="Export decoder",
        queue=CPU,
        priority=5,
        args=_VERSION,
        subject=f"{_SUBJECTS}.model_versions",
    ),
    JobKind.EMBED_PROJECT: JobSpec(
        title="Embed all images",
        queue=CPU,
        priority=8,
        args=_VERSION,
        subject=f"{_SUBJECTS}.model_versions",
    ),
    JobKind.EMBED_IMAGE: JobSpec(
        title="Embed image",
        queue=CPU,
        priority=10,
        args=_IMAGE | _VERSION,
        optional_args={"crop": Argument.TEXT},
        subject=f"{_SUBJECTS}.images",
        is_per_image=True,
    ),
    # Asked for by an annotator who watches; behind embeddings, for which somebody cannot go on.
    JobKind.SUGGEST_MASKS: JobSpec(
        title="Suggest masks to an annotator",
        queue=CPU,
        priority=15,
        args=_IMAGE_IN_STAGE,
        subject=f"{_SUBJECTS}.images",
        is_per_image=True,
    ),
    JobKind.EXPORT: JobSpec(
        title="Export",
        queue=FILES,
        priority=20,
        args={"export": Argument.ROW_ID},
        subject=f"{_SUBJECTS}.exports",
        on_abandoned=f"{_EXPORTS}.fail_export",
        on_retry=f"{_EXPORTS}.reopen_export",
        deadline_s=6 * HOUR_S,
    ),
    JobKind.IMPORT: JobSpec(
        title="Import",
        queue=FILES,
        priority=25,
        args={"import": Argument.ROW_ID},
        task="workers.tasks.import_dataset",  # `import` is a keyword
        subject=f"{_SUBJECTS}.imports",
        on_abandoned=f"{_IMPORTS}.fail_import",
        on_retry=f"{_IMPORTS}.reopen_import",
        deadline_s=24 * HOUR_S,
    ),
    # In up to 85 crops of an image: seconds with the shipped encoder, many minutes with ViT-H.
    JobKind.PRELABEL_IMAGE: JobSpec(
        title="Prefill image",
        queue=CPU,
        priority=30,
        args=_IMAGE_IN_STAGE,
        subject=f"{_SUBJECTS}.images",
        is_per_image=True,
        deadline_s=2 * HOUR_S,
    ),
    # snapshot: what a version that was not trained here is measured on.
    JobKind.EVALUATE_SAM: JobSpec(
        title="Evaluate SAM",
        queue=GPU,
        priority=40,
        args=_VERSION,
        optional_args={"snapshot": Argument.ROW_ID},
        subject=f"{_SUBJECTS}.model_versions",
        on_abandoned=f"{_VERSION_OUTCOMES}.fail_version",
        on_retry=f"{_VERSION_OUTCOMES}.reopen_for_evaluation",
        lease_s=60,
        stall_s=600,
        deadline_s=24 * HOUR_S,
    ),
    JobKind.TRAIN_SAM: JobSpec(
        title="Retrain SAM",
        queue=GPU,
        priority=50,
        args=_VERSION,
        subject=f"{_SUBJECTS}.model_versions",
        on_abandoned=f"{_VERSION_OUTCOMES}.fail_version",
        on_retry=f"{_VERSION_OUTCOMES}.reopen_for_training",
        lease_s=60,
        stall_s=900,
        deadline_s=72 * HOUR_S,
    ),
    JobKind.TRAIN_DETECTOR: JobSpec(
        title="Train detector",
        queue=GPU,
        priority=50,
        args=_VERSION,
        subject=f"{_SUBJECTS}.model_versions",
        on_abandoned=f"{_VERSION_OUTCOMES}.fail_version",
        on_retry=f"{_VERSION_OUTCOMES}.reopen_for_training",
        lease_s=60,
        stall_s=900,
        deadline_s=72 * HOUR_S,
    ),
    JobKind.AUTOMASK_IMAGE: JobSpec(
        title="Mask image automatically",
        queue=GPU,
        priority=60,
        args=_IMAGE_IN_STAGE,
        subject=f"{_SUBJECTS}.images",
        is_per_image=True,
        stall_s=600,
        deadline_s=2 * HOUR_S,
    ),
}
for _kind, _spec in _OWN.items():
    JOB_SPECS.register(_kind.value, _spec)


def retry_after_s(attempts: int) -> float:
    """Seconds to wait before the next attempt, after `attempts` failed ones: 4, 16, 64, ... 300."""
    return float(min(4**attempts, 300))
