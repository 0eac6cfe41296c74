"""People, and the one-time links by which they sign in."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models

from engine.domain.states import Role
from engine.models.base import SHA256_CHARACTERS, Row, one_of


class User(Row, AbstractUser):
    """A person who signs in."""

    role = models.CharField(max_length=16, default=Role.ANNOTATOR.value)

    class Meta:
        constraints = [one_of("role", Role, name="user_role_known")]

    @property
    def is_lead(self) -> bool:
        return self.role in (Role.LEAD, Role.ADMIN)


class SignInToken(Row):
    """The hash of a random one-time token; the token itself is shown once and never stored."""

    token_sha256 = models.CharField(max_length=SHA256_CHARACTERS, unique=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sign_in_tokens")
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
