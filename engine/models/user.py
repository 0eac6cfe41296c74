"""People, and the secrets by which they come in. Of every secret only the hash is stored."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q

from engine.domain.sign_in import Throttled
from engine.domain.states import Role
from engine.models.base import SHA256_CHARACTERS, Row, one_of


class User(Row, AbstractUser):
    """A person who signs in. `role` is of the account: see domain/roles.py ACCOUNT_ROLES."""

    role = models.CharField(max_length=16, default=Role.ANNOTATOR.value)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(role__in=[Role.ANNOTATOR.value, Role.LEAD.value, Role.ADMIN.value]),
                name="user_role_known",
            )
        ]

    @property
    def account_role(self) -> Role:
        return Role(self.role)

    @property
    def is_admin(self) -> bool:
        return self.role == Role.ADMIN


class SignInToken(Row):
    """The hash of a random one-time token; the token itself is shown once and never stored."""

    token_sha256 = models.CharField(max_length=SHA256_CHARACTERS, unique=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sign_in_tokens")
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)


class SignInFailure(Row):
    """One failed attempt under one key. Keys are hashes: a mistyped name may be a password."""

    throttled = models.CharField(max_length=24)
    key_sha256 = models.CharField(max_length=SHA256_CHARACTERS)

    class Meta:
        constraints = [one_of("throttled", Throttled, name="sign_in_failure_throttle_known")]
        indexes = [
            models.Index(fields=["key_sha256", "created_at"], name="sign_in_failure_of_key"),
            models.Index(fields=["created_at"], name="sign_in_failure_age"),
        ]
