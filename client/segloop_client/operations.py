"""What one does to the masks of an image, and what the server says of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from segloop_client.ids import new_id
from segloop_client.prompts import Prompt
from segloop_client.shapes import Rle


@dataclass(frozen=True, slots=True, kw_only=True)
class Save:
    """A new mask, or with `base_revision_id` a change of one. Keep the object to send it again.

    label: None leaves the label of a changed mask as it is, an empty one takes it off.
    """

    mask_id: UUID
    rle: Rle
    revision_id: UUID = field(default_factory=new_id)
    base_revision_id: UUID | None = None
    prompts: Sequence[Prompt] = ()
    label: str | None = None
    annotate_ms: int | None = None
    model_version_id: UUID | None = None

    def mask_json(self) -> dict[str, Any]:
        optional = {
            "base_revision_id": self.base_revision_id,
            "model_version_id": self.model_version_id,
        }
        return {
            "mask_id": str(self.mask_id),
            "revision_id": str(self.revision_id),
            "rle": self.rle.model_dump(),
            "prompts": [prompt.to_json() for prompt in self.prompts],
            **({} if self.label is None else {"label": self.label}),
            "annotate_ms": self.annotate_ms,
            **{name: str(value) for name, value in optional.items() if value is not None},
        }

    def to_json(self) -> dict[str, Any]:
        return {"type": "save", **self.mask_json()}


@dataclass(frozen=True, slots=True)
class Accept:
    mask_id: UUID

    def to_json(self) -> dict[str, Any]:
        return {"type": "accept", "mask_id": str(self.mask_id)}


@dataclass(frozen=True, slots=True)
class Reject:
    mask_id: UUID

    def to_json(self) -> dict[str, Any]:
        return {"type": "reject", "mask_id": str(self.mask_id)}


Operation = Save | Accept | Reject
