"""Whether the shipped starter is another one than a project's, and what taking it would mean."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from engine.domain.jobs import JobKind
from engine.domain.states import JobStatus, ModelFamily, ModelVersionStatus
from engine.models import ModelVersion, Project
from engine.selectors.images import without_embedding
from engine.selectors.models import serving_version
from engine.selectors.retraining import can_be_measured, in_work
from engine.shipped import Starter, shipped_starter

NUM_TIMED = 20
"""Embeddings whose median is how long the next one takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StarterOffer:
    """An upgrade that a lead may take.

    serving: what it would replace. num_to_encode: images whose embeddings are made anew; encode_s:
    about how long that takes a worker at the pace of the last ones, None when none is known.
    is_measured_first: there are held-out images, so that the gate decides. in_work: which
    version has to be finished first; empty when none is in the making.
    """

    serving: ModelVersion | None
    num_to_encode: int
    encode_s: float | None
    is_measured_first: bool
    in_work: str

    @property
    def loses_training(self) -> bool:
        """Whether what serves was trained here, on masks that the starter has never seen."""
        return self.serving is not None and self.serving.snapshot_id is not None


def offer_for(project: Project) -> StarterOffer | None:
    """Return what the shipped starter would bring; None when the project has it, or none ships.

    One query for a project that has it, about ten for one that has not.
    """
    starter = shipped_starter()
    if starter is None:
        return None
    known = version_of(project, starter)
    if known is not None and known.status != ModelVersionStatus.FAILED:
        return None
    lacking = without_embedding(project, encoder_sha256=starter.sam.header.encoder_sha256)
    num_to_encode, one_s = lacking.count(), _encode_s(project)
    return StarterOffer(
        serving=serving_version(project, family=ModelFamily.SAM),
        num_to_encode=num_to_encode,
        encode_s=None if one_s is None else one_s * num_to_encode,
        is_measured_first=can_be_measured(project),
        in_work=in_work(project, family=ModelFamily.SAM),
    )


def version_of(project: Project, starter: Starter) -> ModelVersion | None:
    """Return the project's version that holds the starter's weights, whatever became of it."""
    return project.model_versions.filter(
        family=ModelFamily.SAM.value, checkpoint_sha256=starter.sam.sha256
    ).first()


def _encode_s(project: Project) -> float | None:
    """Seconds that embedding an image took lately."""
    done = project.jobs.filter(
        kind=JobKind.EMBED_IMAGE.value,
        status=JobStatus.SUCCEEDED.value,
    ).order_by("-finished_at")
    times = [
        (end - start).total_seconds()
        for start, end in done.values_list("started_at", "finished_at")[:NUM_TIMED]
        if start and end
    ]
    return median(times) if times else None
