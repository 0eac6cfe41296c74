"""Short names of what the server answers; the models are generated into models.py."""

from __future__ import annotations

from dataclasses import dataclass, field

from segloop_client import models

Candidate = models.CandidateOut
Criterion = models.CriterionOut
Decoded = models.DecodeOut
Export = models.ExportOut
Fitted = models.FittedOut
Image = models.ImageOut
ImageRow = models.ImageRowOut
Import = models.ImportOut
Job = models.JobOut
Mask = models.MaskOut
Me = models.MeOut
MeasuredVersion = models.MeasuredVersionOut
Model = models.ModelOut
OperationResult = models.OperationOut
Plan = models.PlanOut
Project = models.ProjectRowOut
RefusedFile = models.RefusedFile
Rle = models.RleOut
SavedMask = models.SavedMaskOut
Session = models.SessionOut
StageEvaluation = models.LoopOut
Version = models.VersionOut


@dataclass(frozen=True, slots=True)
class Uploaded:
    """The images that are in the project now, and which files were refused and why."""

    images: list[Image] = field(default_factory=list)
    refused: list[RefusedFile] = field(default_factory=list)
