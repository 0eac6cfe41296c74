from __future__ import annotations

import json

import numpy as np
import pytest

from masks.rle import Rle, RleError
from tests.golden.make_golden import FOLDER, all_files


def _close(found: object, expected: object) -> bool:
    if isinstance(expected, dict):
        assert isinstance(found, dict)
        return found.keys() == expected.keys() and all(_close(found[k], expected[k]) for k in found)
    if isinstance(expected, list):
        assert isinstance(found, list)
        return len(found) == len(expected) and all(map(_close, found, expected))
    if isinstance(expected, float):
        return bool(np.isclose(float(found), expected, rtol=1e-6, atol=1e-6))  # type: ignore[arg-type]
    return found == expected


@pytest.mark.parametrize(("name", "content"), all_files().items())
def test_the_committed_golden_file_is_what_the_code_says_today(name: str, content: object) -> None:
    committed = json.loads((FOLDER / name).read_text())

    assert _close(committed, json.loads(json.dumps(content))), (
        f"{name} is stale: run python -m tests.golden.make_golden"
    )


def test_every_golden_mask_decodes_to_its_rows() -> None:
    cases = json.loads((FOLDER / "rle.json").read_text())["valid"]

    for case in cases:
        if "rows" in case:
            rows = np.array([[pixel == "1" for pixel in row] for row in case["rows"]])
            assert np.array_equal(Rle.from_coco(case["rle"]).decode(), rows), case["name"]


def test_every_invalid_golden_mask_is_refused() -> None:
    for case in json.loads((FOLDER / "rle.json").read_text())["invalid"]:
        with pytest.raises(RleError):
            Rle.from_coco(case["rle"])


def test_no_golden_mask_hangs_on_the_last_bit_of_a_logit() -> None:
    for case in json.loads((FOLDER / "upscale.json").read_text()):
        assert case["smallest_abs_logit"] > 1e-5
