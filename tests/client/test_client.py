"""The Python client against the running product: web server, runner and the shipped model."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from segloop_client import (
    Accept,
    ApiError,
    ChecksumError,
    Client,
    Job,
    Point,
    Project,
    Reject,
    Rle,
    Save,
    SegloopError,
    Session,
    Unreachable,
    new_id,
)

from masks.rle import Rle as EngineRle
from tests.client.dropping_proxy import DroppingProxy, dropping_proxy
from tests.e2e.product import ROOT, Product, free_port, running_product
from tests.engine import archives

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
WAIT_S = 180.0


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with running_product(tmp_path_factory.mktemp("segloop")) as running:
        running.sign_in_link()
        yield running


def token_of(product: Product, scope: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", "api_token", "demo", "--scope", scope],
        cwd=ROOT,
        env={**os.environ, "SEGLOOP_DATA_DIR": str(product.data_dir), "DATABASE_URL": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def token(product: Product) -> str:
    return token_of(product, "lead")


@pytest.fixture(scope="module")
def segloop(product: Product, token: str) -> Iterator[Client]:
    with Client(product.url, token=token) as client:
        yield client


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photos")
    paths = []
    for number in range(3):
        pixels = np.full((120, 160, 3), 40, np.uint8)
        pixels[30:90, 40 + 10 * number : 110] = (220, 200, 60 * number)
        paths.append(folder / f"block-{number}.jpg")
        PillowImage.fromarray(pixels).save(paths[-1], quality=95)
    (folder / "broken.jpg").write_bytes(b"no photo at all")
    return [*paths, folder / "broken.jpg"]


@pytest.fixture(scope="module")
def project(segloop: Client, photos: list[Path]) -> Project:
    project = segloop.create_project("Blocks")
    uploaded = segloop.upload_images(project.slug, photos)
    assert [one.file_name for one in uploaded.images] == [
        "block-0.jpg",
        "block-1.jpg",
        "block-2.jpg",
    ]
    assert [one.file_name for one in uploaded.refused] == ["broken.jpg"]
    return project


@pytest.fixture(scope="module")
def session(segloop: Client, project: Project) -> Session:
    """An image to label, once its model is ready for clients."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            session = segloop.next_session(project.slug)
            assert session is not None
            segloop.decode(session.image, session.model, [Point(75.0, 60.0)])
            return session
        except ApiError as error:
            if not error.is_temporary or time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def block(session: Session, *, left_px: int = 40) -> Rle:
    mask_hw = np.zeros((session.image.height_px, session.image.width_px), bool)
    mask_hw[30:90, left_px:110] = True
    coco = EngineRle.encode(mask_hw).to_coco()
    return Rle(size=coco["size"], counts=coco["counts"])


def test_it_knows_who_it_is_and_what_is_its(segloop: Client, project: Project) -> None:
    assert segloop.me().username == "demo"
    assert segloop.me().token_scope == "lead"
    assert project.slug in {one.slug for one in segloop.projects()}
    assert len(list(segloop.images("demo-photos", page_size=5))) == len(
        {image.id for image in segloop.images("demo-photos")}
    )


def test_a_click_is_decoded_on_the_server(segloop: Client, session: Session) -> None:
    decoded = segloop.decode(session.image, session.model, [Point(75.0, 60.0)])

    mask_hw = EngineRle.from_coco(decoded.rle.model_dump()).decode()
    assert mask_hw.shape == (120, 160)
    assert mask_hw[60, 75]
    assert decoded.candidates[0].rle == decoded.rle
    assert 0 < decoded.predicted_iou < 1.5
    with pytest.raises(ApiError, match="0 levels of crops"):  # so small a photo has none
        segloop.decode(session.image, session.model, [Point(75.0, 60.0)], crop="1-0-0")


def test_a_batch_is_answered_operation_by_operation(segloop: Client, session: Session) -> None:
    kept, thrown = (
        Save(mask_id=new_id(), rle=block(session, left_px=left), prompts=[Point(75.0, 60.0)])
        for left in (40, 60)
    )
    wrong = Save(mask_id=new_id(), rle=Rle(size=[1, 1], counts="0"))
    batch = [kept, thrown, wrong, Reject(thrown.mask_id), Accept(kept.mask_id)]

    first = segloop.apply(session.assignment_id, batch)
    second = segloop.apply(session.assignment_id, batch)

    assert [one.outcome for one in first] == ["applied", "applied", "refused", "applied", "applied"]
    assert [one.outcome for one in second][:3] == ["duplicate", "duplicate", "refused"]
    assert first[2].code == "invalid_rle"
    by_id = {mask.id: mask for mask in segloop.masks(session.image.id)}
    assert by_id[kept.mask_id].status == "accepted"
    assert by_id[thrown.mask_id].status == "rejected"
    assert by_id[kept.mask_id].rle == kept.rle
    saved = first[0].saved
    assert saved is not None
    said = f"120x160:{kept.rle.counts}".encode()
    assert saved.rle_sha256 == hashlib.sha256(said).hexdigest()


def test_more_operations_than_a_batch_takes_go_in_several(
    segloop: Client, session: Session
) -> None:
    save = Save(mask_id=new_id(), rle=block(session, left_px=70))

    results = segloop.apply(session.assignment_id, [save] * 450)

    assert [one.outcome for one in results] == ["applied"] + ["duplicate"] * 449


@pytest.fixture
def proxy(product: Product) -> Iterator[DroppingProxy]:
    with dropping_proxy(product.port) as proxy:
        yield proxy


def test_a_save_whose_answer_was_lost_is_sent_again_and_stored_once(
    segloop: Client, session: Session, proxy: DroppingProxy, token: str
) -> None:
    save = Save(mask_id=new_id(), rle=block(session, left_px=50))
    address = f"http://127.0.0.1:{proxy.port}"
    with Client(address, token=token, first_wait_s=0.05) as flaky:
        proxy.lose(3)
        saved = flaky.save_mask(session.assignment_id, save)

    assert proxy.num_lost == 3
    assert saved.duplicate, "the first of four sendings was stored"
    assert sum(mask.id == save.mask_id for mask in segloop.masks(session.image.id)) == 1


def test_what_must_not_be_repeated_is_not(
    segloop: Client, proxy: DroppingProxy, token: str
) -> None:
    before = len(segloop.projects())
    with Client(f"http://127.0.0.1:{proxy.port}", token=token, first_wait_s=0.05) as flaky:
        proxy.lose(1)
        with pytest.raises(Unreachable):
            flaky.create_project("Twice?")

    assert len(segloop.projects()) == before + 1


def test_a_server_that_is_not_there_is_unreachable_after_the_last_try() -> None:
    address = f"http://127.0.0.1:{free_port()}"

    with (
        Client(address, token="x", num_tries=3, first_wait_s=0.01) as client,
        pytest.raises(Unreachable, match="cannot be reached"),
    ):
        client.me()


@pytest.mark.parametrize("token", ["sgl_no", ""])
def test_a_bad_token_is_told(product: Product, token: str) -> None:
    with Client(product.url, token=token) as stranger, pytest.raises(ApiError) as refused:
        stranger.me()

    assert (refused.value.status, refused.value.code) == (401, "bad_token")


def test_a_token_for_reading_writes_nothing(product: Product, project: Project) -> None:
    with Client(product.url, token=token_of(product, "read")) as reader:
        assert reader.projects()
        with pytest.raises(ApiError, match="token of scope lead") as refused:
            reader.request_export(project.slug, "coco")

    assert refused.value.code == "scope_too_small"


def test_an_export_is_waited_for_and_checked(
    segloop: Client, session: Session, project: Project, tmp_path: Path
) -> None:
    save = Save(mask_id=new_id(), rle=block(session, left_px=45))
    segloop.save_mask(session.assignment_id, save)
    seen: list[Job] = []

    export = segloop.request_export(project.slug, "coco")
    with pytest.raises(SegloopError, match="not ready"):
        segloop.download_export(export, tmp_path / "early.zip")
    export = segloop.wait_for_export(
        export.id, on_progress=seen.append, poll_s=0.1, timeout_s=WAIT_S
    )
    path = segloop.download_export(export, tmp_path / "blocks.zip")

    assert seen[-1].status == "succeeded"
    assert export.num_masks
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".json"))
        assert json.loads(archive.read(name))

    lying = export.model_copy(update={"sha256": "0" * 64})
    with pytest.raises(ChecksumError):
        segloop.download_export(lying, tmp_path / "other.zip")
    assert [one.name for one in tmp_path.iterdir()] == ["blocks.zip"]


def dataset(folder: Path) -> Path:
    """Two images, one with a mask, a text that is no image, and a hidden file."""
    polygon = [[10, 5, 20, 5, 20, 15, 10, 15]]
    coco = archives.coco([archives.image_entry(1, "pets/a.png")], [archives.entry(1, 1, polygon)])
    images = {"pets/a.png": archives.photo(1), "pets/b.png": archives.photo(2)}
    files = {"coco.json": coco, **images, "notes.txt": b"x", ".hidden/c.png": b"x"}
    return archives.write_folder(folder, files)


def test_a_folder_and_its_zip_are_imported_once(segloop: Client, tmp_path: Path) -> None:
    project = segloop.create_project("Pets")
    folder = dataset(tmp_path / 'old "masks"')
    packed = tmp_path / "same.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for name in ("coco.json", "pets/a.png", "pets/b.png"):
            archive.write(folder / name, name)
    seen: list[Job] = []

    asked = segloop.request_import(project.slug, folder)
    first = segloop.wait_for_import(asked.id, on_progress=seen.append, poll_s=0.1, timeout_s=WAIT_S)
    asked = segloop.request_import(project.slug, packed)
    second = segloop.wait_for_import(asked.id, poll_s=0.1, timeout_s=WAIT_S)

    assert seen[-1].status == "succeeded"
    assert first.name == "old 'masks'.zip"
    assert (first.status, first.num_images, first.num_masks, first.num_refused) == ("done", 2, 1, 1)
    assert [one.file_name for one in segloop.refused_by_import(first.id)] == ["notes.txt"]
    assert (second.num_images, second.num_known_images, second.num_known_masks) == (0, 2, 1)
    assert list(segloop.refused_by_import(second.id)) == []
    assert [one.id for one in segloop.imports(project.slug)] == [second.id, first.id]


def test_what_is_no_archive_is_refused_at_once(
    segloop: Client, project: Project, tmp_path: Path
) -> None:
    text = tmp_path / "notes.zip"
    text.write_text("no archive")

    with pytest.raises(ApiError, match=r"notes\.zip") as refused:
        segloop.request_import(project.slug, text)

    assert (refused.value.status, refused.value.code) == (422, "not_an_archive")


def test_a_label_stays_changes_and_goes(segloop: Client, session: Session) -> None:
    mask_id = new_id()
    saves = [
        Save(mask_id=mask_id, rle=block(session, left_px=left), label=label)
        for left, label in ((42, "brick"), (43, None), (44, ""))
    ]
    labels = []
    for before, save in zip([None, *saves], saves, strict=False):
        base = before.revision_id if before else None
        segloop.save_mask(session.assignment_id, replace(save, base_revision_id=base))
        (mask,) = (one for one in segloop.masks(session.image.id) if one.id == mask_id)
        labels.append(mask.label)

    assert labels == ["brick", "brick", ""]


def test_a_photo_comes_down_as_it_is_stored(
    segloop: Client, session: Session, tmp_path: Path
) -> None:
    path = segloop.download_image(session.image, tmp_path / "photo.jpg")

    with PillowImage.open(path) as photo:
        assert photo.size == (session.image.width_px, session.image.height_px)


def test_finishing_an_image_gives_the_next(
    segloop: Client, session: Session, project: Project
) -> None:
    segloop.extend(session.assignment_id)
    segloop.submit(session.assignment_id)
    segloop.submit(session.assignment_id)  # the answer to the first was lost, say

    following = segloop.next_session(project.slug)

    assert following is not None
    assert following.image.id != session.image.id
    segloop.skip(following.assignment_id, reason="blurred")


def test_the_loop_stands_moves_and_explains_itself(segloop: Client, project: Project) -> None:
    evaluation = segloop.loop.evaluation(project.slug)
    assert (evaluation.stage, evaluation.recommendation.action) == ("assisted_manual", "stay")
    assert {one.key for one in evaluation.criteria} >= {"images", "masks"}
    assert [plan.family for plan in evaluation.plans] == ["sam", "object_detector"]

    changed = segloop.loop.set_policy(project.slug, {"exit_min_masks": 200}, reason="a real set")
    assert changed["exit_min_masks"] == 200
    with pytest.raises(ApiError, match="exit_min_masks") as refused:
        segloop.loop.set_policy(project.slug, {"exit_min_masks": -1})
    assert refused.value.status == 422

    with pytest.raises(ApiError) as early:
        segloop.loop.advance(project.slug)
    assert early.value.status in (409, 422)
    segloop.loop.advance(project.slug, reason="to see the next stage")
    assert segloop.loop.evaluation(project.slug).stage == "semi_automatic"
    segloop.loop.back(project.slug, reason="seen")
    assert segloop.loop.evaluation(project.slug).stage == "assisted_manual"


def test_versions_have_figures_and_roll_back_needs_an_earlier_one(
    segloop: Client, project: Project
) -> None:
    serving = [one for one in segloop.loop.versions(project.slug) if one.status == "serving"]
    assert {one.family for one in serving} == {"sam", "object_detector"}
    (sam,) = (one for one in serving if one.family == "sam")
    assert (sam.number, sam.trained_on) == (1, None)
    assert (sam.thresholds.automatic, sam.thresholds.prefill) == (None, {})

    with pytest.raises(ApiError, match="earlier version"):
        segloop.loop.roll_back(project.slug, "sam")
    assert segloop.loop.promote(project.slug, sam.id).status == "serving"
    version, job = segloop.loop.upgrade_to_starter(project.slug)
    assert (version.id, version.status, job) == (sam.id, "serving", None), "it has it already"
    with pytest.raises(ApiError) as refused:
        segloop.loop.retrain(project.slug, "sam", trainable="decoder")
    assert refused.value.status in (409, 422)


def test_the_client_needs_nothing_of_the_platform() -> None:
    allowed = {*sys.stdlib_module_names, "requests", "pydantic", "segloop_client"}
    for path in (ROOT / "client" / "segloop_client").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert {name.partition(".")[0] for name in names} <= allowed, path
