"""Every state a row can be in and every move that is allowed. A table, and nothing but.

Who may ask for a move is decided in services; services/transitions.py is the only writer.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Role(StrEnum):
    """Who may do what stands in domain/roles.py."""

    ANNOTATOR = "annotator"
    REVIEWER = "reviewer"
    LEAD = "lead"
    ADMIN = "admin"


class ImageStatus(StrEnum):
    READY = "ready"  # may be handed to an annotator
    DONE = "done"  # an annotator submitted it
    REJECTED = "rejected"  # not to be labelled, trained on or exported


class MaskStatus(StrEnum):
    PROPOSED = "proposed"  # a machine's mask nobody confirmed
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class AssignmentStatus(StrEnum):
    LEASED = "leased"
    SUBMITTED = "submitted"
    SKIPPED = "skipped"
    RELEASED = "released"  # the annotator went to another image
    EXPIRED = "expired"


class JobStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"  # its own part is done; its children are not
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # its task said so, or it may not be tried again
    DEAD = "dead"  # its attempts are used up
    CANCELLED = "cancelled"


class AttemptOutcome(StrEnum):
    """How one claim of a job ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RELEASED = "released"  # its worker was asked to stop; does not count
    LOST = "lost"  # its worker was not heard of for a whole lease
    STALLED = "stalled"  # no progress for the kind's stall_s
    TIMED_OUT = "timed out"  # longer than the kind's deadline_s
    CANCELLED = "cancelled"


class ModelVersionStatus(StrEnum):
    PENDING = "pending"
    TRAINING = "training"
    TRAINED = "trained"
    EVALUATED = "evaluated"
    SERVING = "serving"
    RETIRED = "retired"
    REJECTED = "rejected"
    FAILED = "failed"


class StageStatus(StrEnum):
    OPEN = "open"
    DRAINING = "draining"  # no new leases; running assignments may finish
    CLOSED = "closed"


class ExportStatus(StrEnum):
    PENDING = "pending"
    READY = "ready"
    FAILED = "failed"


class AutomaticRunStatus(StrEnum):
    KEPT = "kept"  # accepted masks, packed
    UNPACKED = "unpacked"  # its masks have rows of their own
    REPLACED = "replaced"  # another model's run took over before anybody looked


class ImportStatus(StrEnum):
    PENDING = "pending"
    DONE = "done"  # its report says what came in and what was refused
    FAILED = "failed"


class MaskSource(StrEnum):
    """Who drew the first revision of a mask."""

    HUMAN = "human"
    PREFILLED = "prefilled"
    AUTOMATIC = "automatic"
    IMPORTED = "imported"  # came with a dataset


class RevisionKind(StrEnum):
    CREATE = "create"  # a person drew it
    EDIT = "edit"  # a person changed an earlier revision
    PROPOSAL = "proposal"  # a model made it
    IMPORT = "import"  # it came with a dataset; `origin` says from where


class Split(StrEnum):
    """Which part of the data an image belongs to; UNDECIDED until its first human mask."""

    UNDECIDED = ""
    TRAIN = "train"
    HOLDOUT = "holdout"


class ModelFamily(StrEnum):
    SAM = "sam"
    OBJECT_DETECTOR = "object_detector"


Moves = Mapping[StrEnum, frozenset[StrEnum]]


def _to(*states: StrEnum) -> frozenset[StrEnum]:
    return frozenset(states)


_I, _M, _A = ImageStatus, MaskStatus, AssignmentStatus
_J, _V, _S, _E = JobStatus, ModelVersionStatus, StageStatus, ExportStatus
_P, _R = ImportStatus, AutomaticRunStatus

TRANSITIONS: Mapping[type[StrEnum], Moves] = {
    ImageStatus: {
        _I.READY: _to(_I.DONE, _I.REJECTED),
        _I.DONE: _to(_I.READY, _I.REJECTED),
        _I.REJECTED: _to(),
    },
    MaskStatus: {
        _M.PROPOSED: _to(_M.ACCEPTED, _M.REJECTED),
        _M.ACCEPTED: _to(_M.REJECTED),
        _M.REJECTED: _to(_M.ACCEPTED),
    },
    AssignmentStatus: {
        _A.LEASED: _to(_A.SUBMITTED, _A.SKIPPED, _A.RELEASED, _A.EXPIRED),
        _A.SUBMITTED: _to(),
        _A.SKIPPED: _to(),
        _A.RELEASED: _to(),
        _A.EXPIRED: _to(),
    },
    JobStatus: {
        _J.QUEUED: _to(_J.RUNNING, _J.CANCELLED),
        _J.RUNNING: _to(_J.SUCCEEDED, _J.WAITING, _J.FAILED, _J.CANCELLED, _J.QUEUED, _J.DEAD),
        _J.WAITING: _to(_J.SUCCEEDED, _J.FAILED, _J.CANCELLED),
        _J.SUCCEEDED: _to(),
        _J.FAILED: _to(_J.QUEUED, _J.WAITING),  # waiting again: only its failed children rerun
        _J.DEAD: _to(_J.QUEUED),
        _J.CANCELLED: _to(),
    },
    ModelVersionStatus: {
        _V.PENDING: _to(_V.TRAINING, _V.FAILED),
        _V.TRAINING: _to(_V.TRAINED, _V.FAILED),
        _V.TRAINED: _to(_V.EVALUATED, _V.FAILED),
        _V.EVALUATED: _to(_V.SERVING, _V.REJECTED),
        _V.SERVING: _to(_V.RETIRED),
        _V.RETIRED: _to(_V.SERVING),
        _V.REJECTED: _to(_V.SERVING),
        _V.FAILED: _to(_V.PENDING, _V.TRAINED),  # its failed job is tried again
    },
    StageStatus: {
        _S.OPEN: _to(_S.DRAINING),
        _S.DRAINING: _to(_S.CLOSED, _S.OPEN),
        _S.CLOSED: _to(),
    },
    ExportStatus: {
        _E.PENDING: _to(_E.READY, _E.FAILED),
        _E.READY: _to(),
        _E.FAILED: _to(_E.PENDING),  # its failed job is tried again
    },
    AutomaticRunStatus: {
        _R.KEPT: _to(_R.UNPACKED, _R.REPLACED),
        _R.UNPACKED: _to(),
        _R.REPLACED: _to(),
    },
    ImportStatus: {
        _P.PENDING: _to(_P.DONE, _P.FAILED),
        _P.DONE: _to(),
        _P.FAILED: _to(_P.PENDING),  # its failed job is tried again
    },
}


def is_allowed(seen: StrEnum, to: StrEnum) -> bool:
    """Tell whether the table has the move; both must be states of one machine."""
    return to in TRANSITIONS[type(seen)][seen]
