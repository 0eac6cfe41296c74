"""The kinds of background work, as a table: where each runs, how urgent, how often it is tried.

What a kind does lives in workers/tasks/<kind>.py; the queue itself in services/jobs.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

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


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """How a kind of job is run."""

    queue: str
    priority: int
    """Lower runs first. An annotator waits for embeddings; nobody waits for automatic masks."""
    args: frozenset[str]
    """Names of its arguments; every value is the id of a row."""
    optional_args: frozenset[str] = frozenset()
    """Names of further arguments that may be left out: ids of rows, or plain text."""
    max_attempts: int = 3
    lease_s: float = 30
    """A worker that has not beaten for this long is taken for dead."""
    stall_s: float = 300
    """A task that reports no progress for this long is taken for hung."""
    deadline_s: float = 900
    """A task that runs longer than this, progress or not, is stopped; the attempt has failed."""


HOUR_S = 3600.0

SPECS: Mapping[JobKind, JobSpec] = {
    JobKind.EXPORT_DECODER: JobSpec(queue=CPU, priority=5, args=frozenset({"model_version"})),
    JobKind.EMBED_PROJECT: JobSpec(queue=CPU, priority=8, args=frozenset({"model_version"})),
    JobKind.EMBED_IMAGE: JobSpec(
        queue=CPU,
        priority=10,
        args=frozenset({"image", "model_version"}),
        optional_args=frozenset({"close_up"}),
    ),
    # Asked for by an annotator who watches; behind embeddings, for which somebody cannot go on.
    JobKind.SUGGEST_MASKS: JobSpec(queue=CPU, priority=15, args=frozenset({"image", "stage"})),
    JobKind.EXPORT: JobSpec(
        queue=FILES, priority=20, args=frozenset({"export"}), deadline_s=6 * HOUR_S
    ),
    JobKind.IMPORT: JobSpec(
        queue=FILES, priority=25, args=frozenset({"import"}), deadline_s=24 * HOUR_S
    ),
    # In up to 85 crops of a photo: seconds with the shipped encoder, many minutes with ViT-H.
    JobKind.PRELABEL_IMAGE: JobSpec(
        queue=CPU, priority=30, args=frozenset({"image", "stage"}), deadline_s=2 * HOUR_S
    ),
    # snapshot: what a version that was not trained here is measured on.
    JobKind.EVALUATE_SAM: JobSpec(
        queue=GPU,
        priority=40,
        args=frozenset({"model_version"}),
        optional_args=frozenset({"snapshot"}),
        lease_s=60,
        stall_s=600,
        deadline_s=24 * HOUR_S,
    ),
    JobKind.TRAIN_SAM: JobSpec(
        queue=GPU,
        priority=50,
        args=frozenset({"model_version"}),
        lease_s=60,
        stall_s=900,
        deadline_s=72 * HOUR_S,
    ),
    JobKind.TRAIN_DETECTOR: JobSpec(
        queue=GPU,
        priority=50,
        args=frozenset({"model_version"}),
        lease_s=60,
        stall_s=900,
        deadline_s=72 * HOUR_S,
    ),
    JobKind.AUTOMASK_IMAGE: JobSpec(
        queue=GPU,
        priority=60,
        args=frozenset({"image", "stage"}),
        stall_s=600,
        deadline_s=2 * HOUR_S,
    ),
}


def retry_after_s(attempts: int) -> float:
    """Seconds to wait before the next attempt, after `attempts` failed ones: 4, 16, 64, ... 300."""
    return float(min(4**attempts, 300))
