"""Moving an installation from SQLite to PostgreSQL: every row arrives, or none."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from engine.domain.ids import uuid7
from tests.workers.servers import temporary_database

pytestmark = [pytest.mark.postgres, pytest.mark.slow]
ROOT = Path(__file__).parents[2]

FILL = """
import django
django.setup()
from django.contrib.sessions.backends.db import SessionStore
from engine.domain.jobs import QUEUES, JobKind
from engine.services.datasets import exports
from engine.services.jobs import jobs
from engine.services.projects import projects
from tests import factories
project = factories.make_project("Früchte ☃")
factories.make_version(project)
factories.label_images(project, num_images=3, masks_per_image=4)
held = factories.assignments.lease_image(
    factories.make_image(project), annotator=factories.make_user()
)
saved = factories.save(held)
factories.save(  # a second revision, whose parent is the first
    held,
    mask_id=saved.mask.pk,
    base_revision_id=saved.revision.pk,
    rle=factories.square(held.image, side_px=9),
)
exports.request_export(project, format="coco", actor=project.created_by)
claimed = jobs.claim(QUEUES, worker="w")
jobs.fail(claimed, error="no", retryable=True)
SessionStore().create()
"""

COUNT = """
import json, django
django.setup()
from django.apps import apps
from engine.services.database_copy import checksum, _tables
print(json.dumps({t._meta.db_table: checksum(t, "default") for t in _tables()}, sort_keys=True))
"""

USE = """
import django
django.setup()
from engine.models import Mask, Project
from engine.services.jobs import jobs
from tests import factories
from django.contrib.auth.models import Group
project = Project.objects.get()
assert project.name == "Früchte ☃"
Group.objects.create(name="the next automatic key is free")
(image,) = factories.label_images(project, num_images=1)
assert Mask.objects.filter(image=image).count() == 1
"""


class Site:
    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir

    def python(self, *arguments: str, url: str = "") -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "engine.settings",
            "SEGLOOP_DATA_DIR": str(self.data_dir),
            "SEGLOOP_STARTER_DIR": str(self.data_dir / "starter"),
            "DATABASE_URL": url,
        }
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def must(self, *arguments: str, url: str = "") -> str:
        done = self.python(*arguments, url=url)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path / "data")
    site.must("manage.py", "migrate", "--verbosity", "0")
    site.must("-c", FILL)
    return site


@pytest.fixture
def target() -> Iterator[str]:
    with temporary_database(f"segloop_target_{uuid7().hex}") as url:
        yield url


def test_every_row_arrives_with_equal_counts_and_checksums_and_work_goes_on(
    site: Site, target: str
) -> None:
    told = site.must("manage.py", "migrate_to_postgres", target)

    assert "with equal checksums" in told
    assert (
        site.must("-c", COUNT).splitlines()[-1]
        == (site.must("-c", COUNT, url=target).splitlines()[-1])
    )
    assert '"engine_maskrevision": [14,' in site.must("-c", COUNT)
    site.must("-c", USE, url=target)


def test_a_target_that_is_in_use_is_left_alone(site: Site, target: str) -> None:
    site.must("manage.py", "migrate_to_postgres", target)
    before = site.must("-c", COUNT, url=target)

    again = site.python("manage.py", "migrate_to_postgres", target)

    assert again.returncode == 1
    assert "CommandError: the target database is not empty" in again.stderr
    assert "Traceback" not in again.stderr
    assert site.must("-c", COUNT, url=target) == before


def test_a_copy_that_fails_half_way_leaves_nothing(site: Site, target: str) -> None:
    site.must("manage.py", "migrate", "--verbosity", "0", url=target)
    connection = psycopg2.connect(target)
    with connection, connection.cursor() as cursor:
        cursor.execute("ALTER TABLE engine_job ADD CONSTRAINT no_jobs CHECK (kind = '')")
    connection.close()

    failed = site.python("manage.py", "migrate_to_postgres", target)

    assert failed.returncode == 1
    assert "no_jobs" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert '"engine_project": [0,' in site.must("-c", COUNT, url=target)


@pytest.mark.parametrize("url", ["sqlite:///x", "postgresql://nobody@127.0.0.1:1/none"])
def test_a_target_that_makes_no_sense_is_named_in_one_line(site: Site, url: str) -> None:
    done = site.python("manage.py", "migrate_to_postgres", url)

    assert done.returncode == 1
    assert "CommandError: " in done.stderr
    assert "Traceback" not in done.stderr
