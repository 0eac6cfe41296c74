"""A data folder made by version 0.1 opens: its rows move to today's columns and names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

LAST_OF_0_1 = "0013_close_ups"

FILL = """
import django
django.setup()
from uuid import uuid4
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

executor = MigrationExecutor(connection)
targets = [
    ("engine", "LAST") if app == "engine" else (app, name)
    for app, name in executor.loader.graph.leaf_nodes()
]
executor.migrate(targets)
state = MigrationExecutor(connection).loader.project_state([("engine", "LAST")])
model = lambda name: state.apps.get_model("engine", name)
now = timezone.now()

def make(kind, /, **values):
    return model(kind).objects.create(id=uuid4(), created_at=now, **values)

lead = model("User").objects.create(id=uuid4(), username="lead", role="lead", password="!")
project = make("Project", name="Cells", slug="cells", created_by=lead)
make("Membership", project=project, user=lead, role="lead")
policy = {"min_judged_masks": 33, "exit_min_masks": 7}
past = make("EngineStage", project=project, kind="assisted_manual", ordinal=1, status="closed",
            policy=policy, opened_at=now, closed_at=now, opened_by=lead)
stage = make("EngineStage", project=project, kind="semi_automatic", ordinal=2, policy=policy,
             opened_at=now, opened_by=lead)
sam = make("ModelVersion", project=project, family="sam", number=1, status="serving",
           checkpoint_key="models/a", checkpoint_sha256="c" * 64, encoder_sha256="e" * 64,
           decoder_key="decoders/a", decoder_sha256="d" * 64, requested_by=lead,
           because="asked for by hand", trains="decoder")
images = {}
for side in ("train", "holdout", ""):
    images[side] = make("Image", project=project, sha256=(side or "none").rjust(64, "0"),
                        storage_key="images/a.png", thumbnail_key="thumbnails/a.jpg",
                        file_name=f"{side or 'undecided'}.png", width_px=2000, height_px=1000,
                        side=side)
for key in ("", "1-0-1"):
    make("Embedding", image=images["train"], encoder_sha256="e" * 64, close_up=key,
         storage_key="embeddings/a.safetensors", sha256="f" * 64, size_bytes=1)
for key in ("1-0-1", ""):
    args = {"image": str(images["train"].pk), "model_version": str(sam.pk)}
    make("Job", kind="embed_image", queue="cpu", priority=0, project=project,
         args=args | ({"close_up": key} if key else {}), max_attempts=3,
         idem_key=f"embed_image:{images['train'].pk}:{'e' * 64}" + (f":{key}" if key else ""))
held = make("Assignment", image=images["train"], stage=stage, annotator=lead, leased_at=now,
            lease_expires_at=now, status="submitted", finished_at=now)
with transaction.atomic():
    head = uuid4()
    mask = make("Mask", image=images["train"], stage=stage, source="human", status="accepted",
                head_id=head, label="cell", order=1)
    model("MaskRevision").objects.create(
        id=head, created_at=now, mask=mask, kind="create", rle_counts="RLE", rle_sha256="SHA",
        area_px=4, bbox_x_px=10, bbox_y_px=10, bbox_w_px=2, bbox_h_px=2, author=lead,
        assignment=held, annotate_ms=1500)
snapshot = make("Snapshot", project=project, manifest_key="snapshots/a.jsonl", sha256="a" * 64,
                num_images=2, num_masks=2)
make("Evaluation", model_version=sam, snapshot=snapshot,
     metrics={"clicks_1_miou": 0.75, "close_up_scores_key": "scores/a.json"})
make("Export", project=project, format="coco", status="pending", filters={})
"""

CHECK = """
import django
django.setup()
from django.core.management import call_command
from engine.domain.states import ModelFamily
from engine.models import Embedding, Evaluation, Export, Image, Job, Mask, MaskRevision, Project
from engine.selectors import criteria, progress
from engine.selectors.models import serving_version
from engine.selectors.retraining import trainable
from engine.selectors.stages import active_policy, active_stage
from engine.services.images import embeddings
from engine.services.images.split import fix_split

call_command("migrate", "--check", verbosity=0)
call_command("check", verbosity=0)
project = Project.objects.get()
by_name = {image.file_name: image for image in project.images.all()}
assert by_name["train.png"].split == "train"
assert by_name["holdout.png"].split == "holdout"
assert by_name["undecided.png"].split == ""
image = by_name["train.png"]

sam = serving_version(project, family=ModelFamily.SAM)
assert (sam.trigger, sam.trainable) == ("asked for by hand", "decoder")
for key in ("", "1-0-1"):
    stored = embeddings.embedding_for(image, crop=key)
    assert (stored.crop, stored.storage_key) == (key, "embeddings/a.safetensors")
cropped, whole = Job.objects.order_by("-idem_key")
assert cropped.args == {"image": str(image.pk), "model_version": str(sam.pk), "crop": "1-0-1"}
assert whole.args == {"image": str(image.pk), "model_version": str(sam.pk)}
Embedding.objects.filter(crop="1-0-1").delete()
again = embeddings.request_embedding(image, crop="1-0-1")
assert again.pk == cropped.pk, "the waiting job of 0.1 is the one asked for again"

assert active_policy(project).min_reviewed_masks == 33
assert active_policy(project).exit_min_masks == 7
assert trainable(project) == (1, {"train": 1})
mask = Mask.objects.get()
assert (mask.label, mask.head.rle_counts, mask.head.area_px) == ("cell", "RLE", 4)
try:
    MaskRevision.objects.update(area_px=5)
except Exception as error:
    assert "append-only" in str(error)
else:
    raise AssertionError("revisions can be changed")
assert Evaluation.objects.get().metrics == {
    "clicks_1_miou": 0.75, "crop_scores_key": "scores/a.json"
}
assert Export.objects.get().format == "coco"
evaluation = criteria.evaluate_stage(active_stage(project))
assert evaluation.recommendation.action == "stay"
assert progress.project_figures(project) is not None
image = by_name["undecided.png"]
fix_split(image)
assert image.split == "train"  # the third labelled image: the 2nd, 7th, ... are held out
"""


class DataFolder:
    def __init__(self, path: Path) -> None:
        self.path = path

    def must(self, *arguments: str) -> str:
        """Run Python on this data folder and return what it prints; it has to succeed."""
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "engine.settings",
            "SEGLOOP_DATA_DIR": str(self.path),
            "SEGLOOP_STARTER_DIR": str(self.path / "starter"),
            "DATABASE_URL": "",
        }
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def old_folder(tmp_path: Path) -> DataFolder:
    folder = DataFolder(tmp_path)
    folder.must("-c", FILL.replace("LAST", LAST_OF_0_1))
    return folder


def test_a_data_folder_of_version_0_1_opens_with_all_it_holds(old_folder: DataFolder) -> None:
    old_folder.must("manage.py", "migrate", "--verbosity", "0")

    old_folder.must("-c", CHECK)


def test_the_migrations_since_version_0_1_can_be_undone(old_folder: DataFolder) -> None:
    old_folder.must("manage.py", "migrate", "--verbosity", "0")

    old_folder.must("manage.py", "migrate", "engine", LAST_OF_0_1, "--verbosity", "0")
    old_folder.must("manage.py", "migrate", "--verbosity", "0")

    old_folder.must("-c", CHECK)
