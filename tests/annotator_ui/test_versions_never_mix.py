"""Promotions under load, through real HTTP: every answer comes from one version and it alone.

Three versions take turns: two decoders of one encoder, and a third of another. A mix of any two
gives another mask than the one each version gives by itself, which is computed before.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from django.db import connections

from engine import storage
from engine.decoding import decoder
from engine.decoding.frame import DecoderSizes
from engine.decoding.network import cached_network, load_embedding
from engine.decoding.prompts import DecoderPrompts
from engine.domain.prompts import PointPrompt
from engine.domain.states import ModelFamily, ModelVersionStatus
from engine.models import Image, ModelVersion, Project, User
from engine.services.images import embeddings, images
from engine.services.models import model_versions
from engine.services.people import api_tokens
from tests import factories
from tests.annotator_ui.conftest import HEIGHT_PX, WIDTH_PX, image_bytes, tiny_model

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
NUM_CLIENTS = 4
MIN_PROMOTIONS = 6
MIN_CLICKS_EACH = 5
PATIENCE_S = 120.0
"""A busy machine takes seconds for a click; every version has to be seen, however long it takes."""
POINT = {"type": "point", "x_px": 20.0, "y_px": 18.0, "label": 1}


@pytest.fixture
def base_url() -> Iterator[str]:
    """The real application behind a real port, a thread a request."""
    server = ThreadedWSGIServer(("127.0.0.1", 0), QuietHandler)
    server.set_app(get_wsgi_application())
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: hundreds of requests."""


def other_model(seed: int, *, other_encoder: bool) -> Any:
    """The tiny model with another decoder, and with another encoder too if asked for."""
    import torch

    model = tiny_model()
    torch.manual_seed(seed)
    parts = [model.mask_decoder] + ([model.image_encoder] if other_encoder else [])
    with torch.no_grad():
        for part in parts:
            for parameter in part.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def store_version(project: Project, model: Any, folder: Path) -> ModelVersion:
    """Store a model as a version that once served."""
    from sam.checkpoints import checkpoint_files
    from sam.export import onnx_decoder

    folder.mkdir()
    checkpoint, decoder = folder / "m.safetensors", folder / "d.onnx"
    checkpoint_files.save(model, checkpoint, {})
    onnx_decoder.export_decoder(model, decoder)
    checkpoint_key = storage.put_file("checkpoints", checkpoint, ".safetensors")
    decoder_key = storage.put_file("decoders", decoder, ".onnx")
    return ModelVersion.objects.create(
        project=project,
        family=ModelFamily.SAM.value,
        number=project.model_versions.filter(family="sam").count() + 1,
        arch="tiny",
        status=ModelVersionStatus.RETIRED.value,
        checkpoint_key=checkpoint_key,
        checkpoint_sha256=storage.sha256_of(checkpoint_key),
        decoder_key=decoder_key,
        decoder_sha256=storage.sha256_of(decoder_key),
        encoder_sha256=checkpoint_files.encoder_sha256(model),
        config=model.config.to_dict(),
    )


def embed(image: Image, model: Any) -> None:
    import torch
    from PIL import Image as PillowImage

    from sam.checkpoints import checkpoint_files
    from sam.checkpoints import embedding_files as stored

    pixels = np.asarray(PillowImage.open(storage.local_copy(image.storage_key)).convert("RGB"))
    with torch.inference_mode():
        features = model.encode(model.preprocess(pixels))
    sha256 = checkpoint_files.encoder_sha256(model)
    data = stored.to_bytes(features, encoder_sha256=sha256)
    embeddings.store_embedding(image, encoder_sha256=sha256, data=data)


def expected(image: Image, version: ModelVersion) -> str:
    """The mask that this version, and no other, gives to the click."""
    stored = image.embeddings.get(encoder_sha256=version.encoder_sha256)
    path = storage.local_copy(version.decoder_key)
    best, *_ = decoder.decode(
        DecoderPrompts((PointPrompt(x_px=POINT["x_px"], y_px=POINT["y_px"], label=1),)),
        network=cached_network(path, sha256=version.decoder_sha256),
        embedding=load_embedding(storage.local_copy(stored.storage_key)),
        sizes=DecoderSizes.from_config(version.config),
        image_hw=(HEIGHT_PX, WIDTH_PX),
    )
    return f"{best.rle.counts} {best.predicted_iou:.4f}"


@dataclass
class Annotator:
    """One of the clients: takes its image again and again, and clicks."""

    base: str
    secret: str
    seen: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def work(
        self, *, is_over: threading.Event, wanted: dict[str, str], encoder_of: dict[str, str]
    ) -> None:
        while not is_over.is_set():
            session = self.ask("POST", "/projects/roof-tiles/assignments/next", {})
            if session is None:
                continue
            model = session["model"]
            if model["encoder_sha256"] != encoder_of[model["id"]]:
                self.wrong.append(f"the session mixes {model['id']} with another encoder")
            if model["encoder_sha256"] not in session["image"]["embedding_url"]:
                self.wrong.append("the session points at another encoder's embedding")
            for _ in range(3):
                self.click(session, wanted)

    def click(self, session: dict[str, Any], wanted: dict[str, str]) -> None:
        model = session["model"]
        body = {
            "model_version_id": model["id"],
            "encoder_sha256": model["encoder_sha256"],
            "prompts": [POINT],
        }
        answer = self.ask("POST", f"/images/{session['image']['id']}/decode", body)
        if answer is None:
            self.seen["outdated"] += 1
            return
        self.seen[model["id"]] += 1
        if f"{answer['rle']['counts']} {answer['predicted_iou']:.4f}" != wanted[model["id"]]:
            self.wrong.append(f"{model['id']} answered as another version would")

    def ask(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """The answer; None for the 409 that tells a page to take the image again."""
        headers = {"Authorization": f"Bearer {self.secret}", "Content-Type": "application/json"}
        data = json.dumps(body).encode()
        request = Request(f"{self.base}/api/v1{path}", data, headers, method=method)
        try:
            with urlopen(request, timeout=60) as response:
                found: dict[str, Any] = json.load(response)
                return found
        except HTTPError as error:
            told = json.load(error)
            if error.code != 409 or told["code"] != "outdated_embedding":
                self.wrong.append(f"{method} {path}: {error.code} {told}")
            return None


def test_no_decode_mixes_versions_while_promotions_run(base_url: str, tmp_path: Path) -> None:
    lead = factories.make_outsider("lena", role="lead")
    project = factories.make_project("Roof tiles", lead=lead)
    first = project.model_versions.get(family="sam")
    models = {
        first.pk: tiny_model(),
        **{
            store_version(project, model, tmp_path / name).pk: model
            for name, model in (
                ("decoder", other_model(1, other_encoder=False)),
                ("encoder", other_model(2, other_encoder=True)),
            )
        },
    }
    versions = list(project.model_versions.filter(family="sam").order_by("number"))
    clients = [annotator_of(project, lead, place, base_url) for place in range(NUM_CLIENTS)]
    for image in project.images.all():
        for model in models.values():
            embed(image, model)
    image = project.images.first()
    assert image is not None
    wanted = {str(one.pk): expected(image, one) for one in versions}
    assert len(set(wanted.values())) == len(versions), "a mix could not be told from the real thing"
    encoder_of = {str(one.pk): one.encoder_sha256 for one in versions}

    is_over = threading.Event()
    threads = [
        threading.Thread(
            target=one.work,
            kwargs={"is_over": is_over, "wanted": wanted, "encoder_of": encoder_of},
        )
        for one in clients
    ]
    for thread in threads:
        thread.start()
    try:
        num_promoted = promote_in_turn(versions, lead, clients)
    finally:
        is_over.set()
    for thread in threads:
        thread.join()
    connections.close_all()

    assert [fault for one in clients for fault in one.wrong] == []
    seen = sum((one.seen for one in clients), Counter())
    print(f"{num_promoted} promotions, {sum(seen.values())} clicks: {dict(seen)}")
    assert num_promoted >= MIN_PROMOTIONS
    assert all(seen[str(one.pk)] >= MIN_CLICKS_EACH for one in versions), seen


def annotator_of(project: Project, lead: User, place: int, base: str) -> Annotator:
    """A person with the same photo in another file, so that each holds one image."""
    user = factories.make_outsider(f"anna-{place}")
    factories.join(project, user)
    padded = image_bytes(1) + bytes(place + 1)  # the same pixels, other bytes
    images.ingest_image(project, data=padded, file_name=f"{place}.jpg", actor=lead)
    _, secret = api_tokens.create_token(user, name="page", scope="label")
    return Annotator(base, secret)


def promote_in_turn(versions: list[ModelVersion], lead: User, clients: list[Annotator]) -> int:
    """Promote while the clients click, until each version has been clicked on often enough."""
    num_promoted, ends_at_s = 0, time.monotonic() + PATIENCE_S
    while time.monotonic() < ends_at_s:
        model_versions.promote(versions[(num_promoted + 1) % len(versions)], actor=lead)
        num_promoted += 1
        time.sleep(0.2 + 0.2 * (num_promoted % 4))  # in and out of step with the clicks
        least = min(sum(one.seen[str(version.pk)] for one in clients) for version in versions)
        if num_promoted >= MIN_PROMOTIONS and least >= MIN_CLICKS_EACH:
            break
    return num_promoted
