"""Steps of a fault run, each a process of its own on the installation under test.

`python -m tests.faults.steps STEP [ARGUMENT]` prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import django

SLUG = "faults"


def session_of(user: Any) -> str:
    """Open a session for a user and return its key, as signing in does."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore

    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    return str(session.session_key)


def prepare(num_annotators: str, num_jobs: str) -> dict[str, Any]:
    """Make a project, its people with open sessions, images for each, and jobs to count."""
    from engine.domain.jobs import JobKind
    from engine.domain.states import Role
    from engine.models import Job
    from engine.services.images import images
    from engine.services.jobs import jobs
    from engine.services.people import members, users
    from engine.services.projects import policies, projects
    from tests.workers.disc_images import disc_image

    lead = users.create_user("lead", role=Role.LEAD)
    project = projects.create_project("Faults", actor=lead)
    # Jobs are counted here: no training of the schedule's own comes among them.
    policies.change_policy(project, changes={"retrain_growth": 0}, actor=lead)
    people = [
        users.create_user(f"annotator-{place}", role=Role.ANNOTATOR)
        for place in range(int(num_annotators))
    ]
    for person in people:
        members.add_member(project, user=person, role=Role.ANNOTATOR, actor=lead)
    for place in range(len(people)):
        data, _ = disc_image(place, size_px=160)
        images.ingest_image(project, data=data, file_name=f"{place}.png", actor=lead)
    stage = project.stages.get()
    keys = [f"note-{place}" for place in range(int(num_jobs))]
    jobs.enqueue_many(
        JobKind.PRELABEL_IMAGE,
        project=project,
        requests=[
            jobs.Request(args={"image": project.pk, "stage": stage.pk}, idem_key=key)
            for key in keys
        ],
    )
    # Kills are no fault of the job: here none may die of them.
    Job.objects.update(max_attempts=1_000)
    return {
        "slug": project.slug,
        "lead": session_of(lead),
        "annotators": [session_of(user) for user in people],
        "keys": keys,
    }


def outcome() -> dict[str, Any]:
    """Return the state that the checker reads."""
    from engine.models import Embedding, Job, JobAttempt, Mask, MaskRevision, StateChange

    effects = StateChange.objects.filter(subject_type="effect")
    embedded = Embedding.objects.filter(crop="")
    revisions = MaskRevision.objects.select_related("mask__image").order_by("created_at")
    return {
        "revisions": [
            [
                str(row.pk),
                str(row.mask_id),
                row.rle_sha256,
                row.mask.image.height_px,
                row.mask.image.width_px,
                row.rle_counts,
                row.created_at.isoformat(),
            ]
            for row in revisions
        ],
        "heads": {str(pk): str(head) for pk, head in Mask.objects.values_list("pk", "head")},
        "jobs": [
            {
                "id": str(job.pk),
                "key": job.idem_key,
                "kind": job.kind,
                "status": job.status,
                "fence": job.fence,
                "has_effect_row": job.idem_key.startswith("note-"),
            }
            for job in Job.objects.all()
        ],
        "effects": [
            [str(job), int(fence)] for job, fence in effects.values_list("subject_id", "to_state")
        ],
        "attempts": [
            {"job": str(job), "fence": fence, "outcome": outcome}
            for job, fence, outcome in JobAttempt.objects.values_list("job", "fence", "outcome")
        ],
        "embedded": [str(image) for image in embedded.values_list("image", flat=True)],
    }


STEPS = {"prepare": prepare, "outcome": outcome}

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "engine.settings")
    django.setup()
    print(json.dumps(STEPS[sys.argv[1]](*sys.argv[2:])))
