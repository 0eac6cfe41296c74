"""Zoomed in, the model looks at the square of the photo that the person sees.

What is saved is what the model says about that square alone.
"""

from __future__ import annotations

import json
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from masks.crops import Crop
from sam.checkpoints import checkpoint_files
from sam.prompting.predictor import Predictor
from tests.e2e.labelling import LabellingPage, newest, rows, stored
from tests.e2e.product import ROOT, Product

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

STARTER = ROOT / "sam" / "starter" / "starter.safetensors"
PLACE = (330.0, 150.0)  # in the coffee


def zoom_in(labelling: LabellingPage) -> str:
    """Zoom in on the place and wait for the close-up; return its key."""
    page = labelling.page
    assert page.get_by_test_id("viewport-crop").get_attribute("data-state") == "none"
    page.mouse.move(*labelling.screen(*PLACE))
    page.mouse.wheel(0, -900)
    page.locator('[data-testid="viewport-crop"][data-state="ready"]').wait_for(timeout=120_000)
    return str(labelling.state()["crop"]["key"])


def test_a_click_in_a_zoomed_view_is_answered_from_the_close_up(
    labelling: LabellingPage, product: Product
) -> None:
    image_id = labelling.state()["imageId"]
    key = zoom_in(labelling)

    labelling.click(*PLACE)
    assert {one["crop"] for one in labelling.state()["candidates"]} == {key}
    labelling.accept()

    mask_id = newest(labelling)["id"]
    saved = stored(product, mask_id).decode()
    height, width = saved.shape
    close_up = Crop.parse(key, image_hw=(height, width))
    x, y, w, h = close_up.xywh_px((height, width))
    assert saved[y : y + h, x : x + w].sum() == saved.sum() > 0
    [(prompts,)] = rows(
        product,
        "SELECT r.prompts FROM engine_mask m JOIN engine_maskrevision r ON r.id = m.head_id"
        " WHERE m.id = ?",
        mask_id.replace("-", ""),
    )
    [point] = json.loads(prompts)
    bytes_ = labelling.page.request.get(f"{product.url}/api/v1/images/{image_id}/file").body()
    photo = np.asarray(Image.open(BytesIO(bytes_)).convert("RGB"))
    predictor = Predictor(checkpoint_files.load(STARTER))
    predictor.set_image(photo[y : y + h, x : x + w])
    said = predictor.predict(
        point_coords=[(point["x_px"] - x, point["y_px"] - y)], point_labels=[1]
    )
    expected = said.masks_nhw[said.predicted_iou.argmax()]
    found = saved[y : y + h, x : x + w]
    assert (found & expected).sum() / (found | expected).sum() >= 0.99


def test_zoomed_out_again_the_whole_photo_answers(labelling: LabellingPage) -> None:
    page = labelling.page
    zoom_in(labelling)
    page.keyboard.press("0")
    page.locator('[data-testid="viewport-crop"][data-state="none"]').wait_for(state="attached")

    labelling.click(*PLACE)

    assert {one["crop"] for one in labelling.state()["candidates"]} == {None}
