"""What every table shares: time-ordered ids, creation time, and states kept by a table of moves."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from django.db import models
from django.utils import timezone

from engine.domain.ids import uuid7

if TYPE_CHECKING:
    _UUIDField = models.UUIDField[str | UUID, UUID]
else:
    _UUIDField = models.UUIDField

NAME_CHARACTERS = 200
KEY_CHARACTERS = 160
SHA256_CHARACTERS = 64


class UUID7Field(_UUIDField):
    """A UUIDv7 primary key.

    Migrations see a plain UUIDField: frozen history must not import our code.
    """

    def __init__(self, **options: Any) -> None:
        options.setdefault("default", uuid7)
        options.setdefault("primary_key", True)
        options.setdefault("editable", False)
        super().__init__(**options)

    def deconstruct(self) -> Any:
        name, _, args, options = super().deconstruct()
        options.pop("default", None)
        return name, "django.db.models.UUIDField", args, options


class Row(models.Model):
    id = UUID7Field()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        abstract = True


class StatefulRow(Row):
    """A row whose `status` only services/transitions.py moves, along domain/states.py."""

    STATES: ClassVar[type[StrEnum]]
    status = models.CharField(max_length=16)

    class Meta:
        abstract = True

    @property
    def state(self) -> StrEnum:
        return self.STATES(self.status)


def one_of(field: str, values: type[StrEnum], *, name: str) -> models.CheckConstraint:
    """Constrain a column to the values of an enum."""
    return models.CheckConstraint(
        condition=models.Q(**{f"{field}__in": [member.value for member in values]}), name=name
    )
