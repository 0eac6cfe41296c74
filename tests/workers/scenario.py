"""Steps of a test scenario, each run as a process of its own against the platform under test.

`python -m tests.workers.scenario STEP [ARGUMENT]` prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import django


def seed(num_images: str, num_discs: str = "3") -> dict[str, Any]:
    """Make a project with labelled images of discs."""
    from engine.domain.ids import uuid7
    from engine.domain.states import Role
    from engine.services.images import images
    from engine.services.masks import assignments, masks
    from engine.services.people import users
    from engine.services.projects import projects
    from masks.rle import Rle
    from tests.workers.disc_images import disc_image

    lead = users.create_user("lead", role=Role.LEAD)
    project = projects.create_project("Discs", actor=lead)
    for number in range(int(num_images)):
        data, truths = disc_image(number, num_discs=int(num_discs))
        image, _ = images.ingest_image(project, data=data, file_name=f"{number}.png", actor=lead)
        assignment = assignments.lease_image(image, annotator=lead)
        for truth in truths:
            y_px, x_px = (int(values.mean()) for values in truth.nonzero())
            masks.save_mask(
                assignment,
                actor=lead,
                mask_id=uuid7(),
                revision_id=uuid7(),
                rle=Rle.encode(truth),
                prompts=[{"type": "point", "x_px": x_px, "y_px": y_px, "label": 1}],
            )
        assignments.submit(assignment, actor=lead)
    return {"project": str(project.pk)}


def ingest(first: str, num: str = "1") -> dict[str, Any]:
    """Ingest one more image, or several; return the last one."""
    from engine.models import Project, User
    from engine.services.images import images
    from tests.workers.disc_images import disc_image

    project, lead = Project.objects.get(), User.objects.get()
    for number in range(int(first), int(first) + int(num)):
        data, _ = disc_image(number)
        image, _ = images.ingest_image(project, data=data, file_name=f"{number}.png", actor=lead)
    return {"image": str(image.pk)}


def retrain(family: str) -> dict[str, Any]:
    """Ask for a retraining."""
    from engine.models import Project, User
    from engine.services.models import model_versions

    version, _ = model_versions.request_retrain(
        Project.objects.get(), family=family, actor=User.objects.get()
    )
    return {"version": str(version.pk)}


def advance(reason: str) -> dict[str, Any]:
    """Go to the next stage."""
    from engine.models import Project, User
    from engine.services.projects import stages

    stage = stages.advance_stage(Project.objects.get(), actor=User.objects.get(), reason=reason)
    return {"stage": stage.kind}


def state() -> dict[str, Any]:
    """Return the state that the tests check, at one moment."""
    from django.db import connection, transaction

    with transaction.atomic():
        if connection.vendor == "postgresql":
            connection.cursor().execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        return _state()


def _state() -> dict[str, Any]:
    from engine.models import AutomaticRun, Evaluation, Job, JobAttempt, Mask, ModelVersion

    return {
        "jobs": list(
            Job.objects.order_by("created_at").values(
                *("kind", "status", "attempts", "progress_pct", "error", "lease_owner"),
                *("args", "result"),
            )
        ),
        "attempts": list(JobAttempt.objects.values("job__kind", "outcome", "worker")),
        "versions": list(ModelVersion.objects.values("family", "number", "status")),
        "evaluations": [
            [str(version), str(snapshot)]
            for version, snapshot in Evaluation.objects.values_list("model_version", "snapshot")
        ],
        "masks": [
            [str(image), source, status, sha256]
            for image, source, status, sha256 in Mask.objects.values_list(
                "image", "source", "status", "head__rle_sha256"
            )
        ]
        + [
            [str(run.image_id), "automatic", "accepted", packed.rle_counts]
            for run in AutomaticRun.objects.filter(status="kept")
            for packed in run.masks.all()
        ],
    }


STEPS = {"seed": seed, "ingest": ingest, "retrain": retrain, "advance": advance, "state": state}

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "engine.settings")
    django.setup()
    print(json.dumps(STEPS[sys.argv[1]](*sys.argv[2:]), default=str))
