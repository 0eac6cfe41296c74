"""The official SAM checkpoints as data: where they are, how to know them and what is like them.

Facts: segment-anything repository (README, build_sam.py). Downloading is `fetch`'s business.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

CACHE_VARIABLE = "SEGLOOP_CACHE_DIR"
_PREFIX = "https://dl.fbaipublicfiles.com/segment_anything/"


@dataclass(frozen=True, slots=True)
class OfficialFile:
    """One published file; its licence (weights and code) is Apache-2.0."""

    name: str
    url: str
    size_bytes: int
    sha256: str

    @property
    def file_name(self) -> str:
        """The last part of the address."""
        return self.url.rsplit("/", 1)[-1]


OFFICIAL_FILES: Mapping[str, OfficialFile] = {
    file.name: file
    for file in (
        OfficialFile(
            "vit_b",
            f"{_PREFIX}sam_vit_b_01ec64.pth",
            375_042_383,
            "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
        ),
        OfficialFile(
            "vit_l",
            f"{_PREFIX}sam_vit_l_0b3195.pth",
            1_249_524_607,
            "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
        ),
        OfficialFile(
            "vit_h",
            f"{_PREFIX}sam_vit_h_4b8939.pth",
            2_564_550_879,
            "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
        ),
    )
}


_ENCODER_NAME = re.compile(r"((?:(?:module|model|sam|sam_model|_orig_mod)\.)+)image_encoder\.")
"""What DataParallel, Lightning, micro-sam and torch.compile put before the official names."""
_RELATIVES = (
    ("hf_token|hf_mlp|compress_vit_feat|embedding_maskfeature", "the decoder of HQ-SAM"),
    (r"lora_|linear_[ab]_[qv]|w_[ab]_linear", "low-rank adapters; merge them into the weights"),
    ("[Aa]dapter", "adapter layers"),
    (r"^(module\.)?vision_encoder\.", "the names of transformers' SamModel, not the official ones"),
    (r"memory_encoder\.|sam_mask_decoder\.|image_encoder\.trunk\.", "a SAM 2"),
    (r"image_encoder\.patch_embed\.seq\.", "the encoder of MobileSAM"),
    (r"^(decoder|deconv\d|out_conv)\.", "the instance decoder of micro-sam"),
)
"""Parts of networks that are called SAM too, by a pattern of their names."""


def prefix_of(names: Iterable[str]) -> str:
    """Return what stands before the official names of a model; empty when nothing does."""
    for name in names:
        if name.startswith("image_encoder."):
            return ""
        if found := _ENCODER_NAME.match(name):
            return found[1]
    return ""


def relative_of(names: Iterable[str]) -> str:
    """Say which other network tensors of these names belong to; empty when that is not known."""
    names = list(names)
    for pattern, what in _RELATIVES:
        if any(re.search(pattern, name) for name in names):
            return what
    return ""


def cache_folder() -> Path:
    """Return where fetched checkpoints are kept; it need not exist.

    SEGLOOP_CACHE_DIR/checkpoints, else $XDG_CACHE_HOME/segloop/checkpoints, else the same under
    ~/.cache.
    """
    if own := os.environ.get(CACHE_VARIABLE):
        return Path(own) / "checkpoints"
    shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not shared.is_absolute():  # unset, or a relative path, which the XDG rules say to ignore
        shared = Path.home() / ".cache"
    return shared / "segloop" / "checkpoints"


def cached_path(name: str) -> Path:
    """Return where an official checkpoint is, or would be. Raises KeyError for another name."""
    return cache_folder() / OFFICIAL_FILES[name].file_name
