"""Words of the interface for values of the domain, and how figures are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.domain.criteria import StageAction, Verdict
from engine.domain.roles import Scope
from engine.domain.schedule import RoundSize
from engine.domain.states import (
    ExportStatus,
    ImportStatus,
    JobStatus,
    MaskSource,
    ModelFamily,
    ModelVersionStatus,
)

NOTHING = "-"


@dataclass(frozen=True, slots=True)
class ToneWords:
    title: str
    tone: str


VERDICTS: Mapping[str, ToneWords] = {
    Verdict.MET: ToneWords("met", "good"),
    Verdict.NOT_MET: ToneWords("not met", "warn"),
    Verdict.UNKNOWN: ToneWords("not enough data", ""),
}

WAYS: Mapping[str, ToneWords] = {
    StageAction.STAY: ToneWords("Recommended: stay", ""),
    StageAction.ADVANCE: ToneWords("Recommended: advance", "success"),
    StageAction.BACK: ToneWords("Recommended: go back", "warning"),
}

TRAINS: Mapping[str, str] = {
    RoundSize.DECODER: "Decoder only",
    RoundSize.LOW_RANK: "Decoder and low-rank encoder",
    RoundSize.FULL: "Whole model",
}


@dataclass(frozen=True, slots=True)
class FamilyWords:
    """`metrics`: key in the evaluation and column heading. `shipped`: what to expect while the
    shipped model serves, which was not trained on this project."""

    title: str
    retrain_label: str
    retrain_testid: str
    caption: str
    empty: str
    metrics: tuple[tuple[str, str], ...]
    shipped: str = ""


FAMILIES: Mapping[str, FamilyWords] = {
    ModelFamily.SAM: FamilyWords(
        title="Segmentation model (SAM)",
        retrain_label="Retrain SAM",
        retrain_testid="retrain-sam",
        caption="Mean IoU on held-out images after 1, 3 and 5 clicks, and from a box; "
        "the small figure is the change against the model it was to replace.",
        empty="A retrain starts from the shipped model.",
        metrics=(
            ("clicks_1_miou", "1 click"),
            ("clicks_3_miou", "3 clicks"),
            ("clicks_5_miou", "5 clicks"),
            ("box_miou", "Box"),
        ),
        shipped="The shipped model is small, so that it runs anywhere. Plain, separate objects it "
        "mostly outlines at the first click; on crowded everyday images the first click is often a "
        "part of the object or too much, so click on, or draw a box around it. It learns your kind "
        "of image when you retrain: some 20 masks are enough for a first round.",
    ),
    ModelFamily.OBJECT_DETECTOR: FamilyWords(
        title="Object detector",
        retrain_label="Train detector",
        retrain_testid="train-detector",
        caption="Share of held-out objects whose box it finds.",
        empty="It prefills masks in the semi-automatic stage.",
        metrics=(("recall_50_at_100", "Box recall"),),
    ),
}

SCOPES: Mapping[str, str] = {
    Scope.READ: "look",
    Scope.LABEL: "look and label",
    Scope.LEAD: "all that you may as a lead",
}

SOURCES: Mapping[str, str] = {
    MaskSource.HUMAN: "drawn by people",
    MaskSource.PREFILLED: "prefilled by the detector",
    MaskSource.AUTOMATIC: "automatic",
    MaskSource.IMPORTED: "imported with a dataset",
}

TONES: Mapping[str, str] = {
    JobStatus.QUEUED: "",
    JobStatus.RUNNING: "busy",
    JobStatus.WAITING: "busy",
    JobStatus.SUCCEEDED: "good",
    JobStatus.FAILED: "bad",
    JobStatus.DEAD: "bad",
    JobStatus.CANCELLED: "warn",
    ModelVersionStatus.TRAINING: "busy",
    ModelVersionStatus.TRAINED: "busy",
    ModelVersionStatus.SERVING: "good",
    ModelVersionStatus.REJECTED: "bad",
    ModelVersionStatus.RETIRED: "",
    ModelVersionStatus.EVALUATED: "warn",
    ModelVersionStatus.PENDING: "",
    ExportStatus.READY: "good",
    ImportStatus.DONE: "good",
}


def tone(status: str) -> str:
    """The colour class of a status tag."""
    return TONES.get(status, "")


def decimal(value: float | None, places: int, unit: str = "") -> str:
    """A figure with its unit, or a dash when it is not known yet."""
    return NOTHING if value is None else f"{value:.{places}f}{unit}"
