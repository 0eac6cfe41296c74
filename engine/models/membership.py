"""Who belongs to a project and as what, who is invited, and the tokens of scripts."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from engine.domain.roles import PROJECT_ROLES, Scope
from engine.domain.sign_in import TOKEN_NAME_CHARACTERS
from engine.models.base import NAME_CHARACTERS, SHA256_CHARACTERS, Row, one_of
from engine.models.project import Project
from engine.models.user import User

_PROJECT_ROLE = Q(role__in=[role.value for role in PROJECT_ROLES])


class Membership(Row):
    """One person's role in one project. Admins need none."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16)

    class Meta:
        ordering = ["created_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["project", "user"], name="membership_once"),
            models.CheckConstraint(condition=_PROJECT_ROLE, name="membership_role_known"),
        ]


class Invitation(Row):
    """A link by which one person, with or without an account, becomes a member. Works once."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="invitations")
    role = models.CharField(max_length=16)
    name = models.CharField(max_length=NAME_CHARACTERS, default="", blank=True)
    token_sha256 = models.CharField(max_length=SHA256_CHARACTERS, unique=True)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    used_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["created_at", "id"]
        constraints = [
            models.CheckConstraint(condition=_PROJECT_ROLE, name="invitation_role_known"),
            models.CheckConstraint(
                condition=Q(used_at__isnull=True, used_by__isnull=True)
                | Q(used_at__isnull=False, used_by__isnull=False),
                name="invitation_used_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(used_at__isnull=True) | Q(revoked_at__isnull=True),
                name="invitation_used_or_revoked",
            ),
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("created_at")), name="invitation_lives"
            ),
        ]


class ApiToken(Row):
    """A script's key: acts as its owner, no further than its scope and its project."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=TOKEN_NAME_CHARACTERS)
    token_sha256 = models.CharField(max_length=SHA256_CHARACTERS, unique=True)
    hint = models.CharField(max_length=16)
    """Its first characters, by which its owner knows it again."""
    scope = models.CharField(max_length=8)
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, null=True, related_name="api_tokens"
    )
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            one_of("scope", Scope, name="api_token_scope_known"),
            models.CheckConstraint(condition=~Q(name=""), name="api_token_has_name"),
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("created_at")), name="api_token_lives"
            ),
        ]
