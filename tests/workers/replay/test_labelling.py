"""The oracle labels one image: large objects in the whole of it, small ones in crops."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from engine.domain.jobs import QUEUES
from engine.domain.states import ModelFamily, Role
from engine.models import Job
from engine.selectors.models import serving_version
from engine.services.images import images
from engine.services.masks import assignments
from engine.services.people import users
from engine.services.projects import projects
from engine.stop_flag import StopFlag
from masks.rle import Rle
from tests.workers.disc_images import disc
from workers.execution.run_job import RunOutcome, run_next
from workers.replay.dataset import DatasetImage
from workers.replay.first_model import FirstModel
from workers.replay.labelling import drawn_objects, label_image
from workers.replay.served_decoder import ServedDecoder

pytestmark = pytest.mark.django_db(transaction=True)


def run_all() -> None:
    while run := run_next(QUEUES, worker="test", lease_s=None, stopping=StopFlag()):
        assert run.outcome is RunOutcome.SUCCEEDED, f"{run.claim.kind}: {run.message}"


def test_small_objects_are_drawn_in_their_crops(
    settings: Any, tiny_starter_dir: Path, tmp_path: Path
) -> None:
    settings.STARTER_DIR = tiny_starter_dir
    lead = users.create_user("lead", role=Role.LEAD)
    project = projects.create_project("Discs", actor=lead)
    place = partial(disc, size_px=256)
    truths = (
        place(x_px=70, y_px=70, radius_px=40),
        place(x_px=200, y_px=180, radius_px=6),
        place(x_px=210, y_px=200, radius_px=6),  # in the same crop
    )
    pixels = np.full((256, 256, 3), 40, np.uint8)
    for truth in truths:
        pixels[truth] = 220
    file = io.BytesIO()
    PillowImage.fromarray(pixels).save(file, "PNG")
    image, _ = images.ingest_image(project, data=file.getvalue(), file_name="a.png", actor=lead)
    run_all()
    version = serving_version(project, family=ModelFamily.SAM)
    assert version is not None
    dataset_image = DatasetImage(path=tmp_path, source="discs", truths=truths, wanted=(0, 1, 2))
    assignment = assignments.lease_image(image, annotator=lead)

    label = partial(
        label_image,
        assignment,
        annotator=lead,
        dataset_image=dataset_image,
        decoder=ServedDecoder(version),
        version=version,
        run_jobs=run_all,
    )
    labelled = label()

    assert (labelled.tally.num_drawn, labelled.tally.num_crops) == (3, 2)
    crops = [job.args.get("crop") for job in Job.objects.filter(kind="embed_image")]
    assert crops == [None, "1-2-2"]
    for mask in image.masks.all():
        drawn = Rle(256, 256, mask.head.rle_counts).decode()
        (truth,) = (one for one in truths if _iou(drawn, one) > 0.5)
        first = mask.head.prompts[0]
        assert truth[int(first["y_px"]), int(first["x_px"])]
    drawn = drawn_objects(image, dataset_image, saved=labelled.saved)
    assert drawn == [0, 1, 2]
    first = FirstModel(version)  # the same model, on features of its own making
    assert first.num_clicks(image, dataset_image, objects=drawn) == labelled.tally.num_clicks
    assert first.num_clicks(image, dataset_image, objects=[]) == 0
    assert label() == labelled  # again, after a kill: nothing is stored or counted twice
    assert image.masks.count() == 3


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())
