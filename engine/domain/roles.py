"""Who may do what in a project: one table of permissions. Services and HTTP ask `allows`.

A person's role is per project (Membership); only ADMIN is of the account and holds everywhere.
A token never may more than its owner: its scope cuts the table down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from engine.domain.states import Role

RANKS = (Role.ANNOTATOR, Role.REVIEWER, Role.LEAD, Role.ADMIN)
"""Each may do all that the one before may."""
PROJECT_ROLES = (Role.ANNOTATOR, Role.REVIEWER, Role.LEAD)
"""What a membership or an invitation can say."""
ACCOUNT_ROLES = (Role.ANNOTATOR, Role.LEAD, Role.ADMIN)
"""What an account can say: an admin is lead of every project, a lead may create projects."""
ROLE_PHRASES: Mapping[Role, str] = {
    Role.ANNOTATOR: "an annotator",
    Role.REVIEWER: "a reviewer",
    Role.LEAD: "a lead",
    Role.ADMIN: "an admin",
}


class Scope(StrEnum):
    """What a token was made for; each includes the one before."""

    READ = "read"
    LABEL = "label"
    LEAD = "lead"


SCOPES = (Scope.READ, Scope.LABEL, Scope.LEAD)
LEAST_ROLE_OF_SCOPE: Mapping[Scope, Role] = {
    Scope.READ: Role.ANNOTATOR,
    Scope.LABEL: Role.ANNOTATOR,
    Scope.LEAD: Role.LEAD,
}


class Permission(StrEnum):
    VIEW = "view"
    LABEL = "label"
    REVIEW = "review"
    SEE_JOBS = "see_jobs"
    ADD_IMAGES = "add_images"
    REVIEW_IMAGES = "review_images"
    MOVE_STAGE = "move_stage"
    CHANGE_POLICY = "change_policy"
    WRITE_INSTRUCTIONS = "write_instructions"
    TRAIN = "train"
    PROMOTE = "promote"
    EXPORT = "export"
    MANAGE_JOBS = "manage_jobs"
    MANAGE_MEMBERS = "manage_members"
    CREATE_PROJECTS = "create_projects"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`phrase` completes "only a lead may ..."."""

    least: Role
    scope: Scope
    phrase: str


RULES: Mapping[Permission, Rule] = {
    Permission.VIEW: Rule(least=Role.ANNOTATOR, scope=Scope.READ, phrase="see this project"),
    Permission.LABEL: Rule(least=Role.ANNOTATOR, scope=Scope.LABEL, phrase="label images"),
    Permission.REVIEW: Rule(
        least=Role.REVIEWER, scope=Scope.LABEL, phrase="review masks of images they did not label"
    ),
    Permission.SEE_JOBS: Rule(least=Role.LEAD, scope=Scope.READ, phrase="see jobs and exports"),
    Permission.ADD_IMAGES: Rule(least=Role.LEAD, scope=Scope.LEAD, phrase="add images"),
    Permission.REVIEW_IMAGES: Rule(
        least=Role.LEAD, scope=Scope.LEAD, phrase="reject or reopen images"
    ),
    Permission.MOVE_STAGE: Rule(least=Role.LEAD, scope=Scope.LEAD, phrase="change the stage"),
    Permission.CHANGE_POLICY: Rule(
        least=Role.LEAD, scope=Scope.LEAD, phrase="change the numbers of a stage"
    ),
    Permission.WRITE_INSTRUCTIONS: Rule(
        least=Role.LEAD, scope=Scope.LEAD, phrase="write the instructions"
    ),
    Permission.TRAIN: Rule(least=Role.LEAD, scope=Scope.LEAD, phrase="start a training"),
    Permission.PROMOTE: Rule(least=Role.LEAD, scope=Scope.LEAD, phrase="promote a model"),
    Permission.EXPORT: Rule(least=Role.LEAD, scope=Scope.LEAD, phrase="export"),
    Permission.MANAGE_JOBS: Rule(least=Role.LEAD, scope=Scope.LEAD, phrase="cancel or retry jobs"),
    Permission.MANAGE_MEMBERS: Rule(least=Role.LEAD, scope=Scope.LEAD, phrase="manage the members"),
    # Asked of the account, not of a project.
    Permission.CREATE_PROJECTS: Rule(least=Role.LEAD, scope=Scope.LEAD, phrase="create projects"),
}


def allows(role: Role, permission: Permission) -> bool:
    """Tell whether the role is enough."""
    return RANKS.index(role) >= RANKS.index(RULES[permission].least)


def scope_allows(scope: Scope, permission: Permission) -> bool:
    """Tell whether a token of this scope reaches as far as the permission."""
    return SCOPES.index(scope) >= SCOPES.index(RULES[permission].scope)


def refusal(permission: Permission) -> str:
    """Say who may: "only a lead may export"."""
    rule = RULES[permission]
    return f"only {ROLE_PHRASES[rule.least]} may {rule.phrase}"
