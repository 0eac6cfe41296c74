"""A typed client of the Segloop API: `Client`, what it takes and gives, and its errors."""

from segloop_client.client import Client
from segloop_client.errors import (
    ApiError,
    ChecksumError,
    JobFailed,
    SegloopError,
    Unreachable,
    WaitedTooLong,
)
from segloop_client.ids import new_id
from segloop_client.loop import Criterion, Fitted, MeasuredVersion, Plan, StageEvaluation, Version
from segloop_client.operations import Accept, OperationResult, Reject, Save
from segloop_client.prompts import Box, Point
from segloop_client.shapes import (
    Candidate,
    Decoded,
    Export,
    Image,
    Import,
    Job,
    Mask,
    Me,
    Model,
    Project,
    RefusedFile,
    Rle,
    SavedMask,
    Session,
    Uploaded,
)

__all__ = [
    "Accept",
    "ApiError",
    "Box",
    "Candidate",
    "ChecksumError",
    "Client",
    "Criterion",
    "Decoded",
    "Export",
    "Fitted",
    "Image",
    "Import",
    "Job",
    "JobFailed",
    "Mask",
    "Me",
    "MeasuredVersion",
    "Model",
    "OperationResult",
    "Plan",
    "Point",
    "Project",
    "RefusedFile",
    "Reject",
    "Rle",
    "Save",
    "SavedMask",
    "SegloopError",
    "Session",
    "StageEvaluation",
    "Unreachable",
    "Uploaded",
    "Version",
    "WaitedTooLong",
    "new_id",
]
