"""Tables. Constraints carry names; rules that need more than one row live in services."""

from engine.models.assignment import Assignment
from engine.models.automatic import AutomaticMask, AutomaticRun
from engine.models.dataset_import import DatasetImport
from engine.models.export import Export
from engine.models.image import Embedding, Image
from engine.models.job import Job, JobAttempt
from engine.models.mask import Mask, MaskRevision
from engine.models.membership import ApiToken, Invitation, Membership
from engine.models.model_version import Evaluation, ModelVersion, Snapshot, TrainingCurve
from engine.models.project import EngineStage, Project
from engine.models.state_change import StateChange
from engine.models.user import SignInFailure, SignInToken, User

__all__ = [
    "ApiToken",
    "Assignment",
    "AutomaticMask",
    "AutomaticRun",
    "DatasetImport",
    "Embedding",
    "EngineStage",
    "Evaluation",
    "Export",
    "Image",
    "Invitation",
    "Job",
    "JobAttempt",
    "Mask",
    "MaskRevision",
    "Membership",
    "ModelVersion",
    "Project",
    "SignInFailure",
    "SignInToken",
    "Snapshot",
    "StateChange",
    "TrainingCurve",
    "User",
]
