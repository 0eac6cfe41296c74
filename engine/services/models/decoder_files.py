"""Decoders as stored files: the whole one for other tools, and its halves for browsers (ADR 13)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from engine import storage
from engine.decoding.halves import DecoderHalves, cut_decoder
from engine.decoding.network import DecodingError
from engine.domain.errors import NotFound
from engine.models import ModelVersion

logger = logging.getLogger(__name__)

DECODER_KIND = "decoders"


@dataclass(frozen=True, slots=True)
class HalfKeys:
    """Storage keys of the two halves. image: "" where `prompt` is the whole decoder."""

    image: str
    prompt: str


def decoder_columns(decoder: Path) -> dict[str, str]:
    """Store a copy of a decoder and its halves; return the columns of a version that name them."""
    key = storage.put_file(DECODER_KIND, decoder, ".onnx")
    return {
        "decoder_key": key,
        "decoder_sha256": storage.sha256_of(key),
        **_half_columns(key),
    }


def halves_of(version: ModelVersion) -> HalfKeys:
    """Return a version's halves; versions of before there were halves are cut now, once.

    Both files are stored before one statement names them, and the same decoder always makes the
    same files: a request that is cut off, or two at once, leave nothing half done.

    Raises:
        NotFound: the version has no decoder.
    """
    if not version.decoder_key:
        raise NotFound("this model version has no decoder")
    if not version.decoder_prompt_key:
        columns = _half_columns(version.decoder_key)
        without = ModelVersion.objects.filter(pk=version.pk, decoder_key=version.decoder_key)
        without.filter(decoder_prompt_key="").update(**columns)
        version.refresh_from_db(fields=list(columns))
    return HalfKeys(image=version.decoder_image_key, prompt=version.decoder_prompt_key)


def _half_columns(decoder_key: str) -> dict[str, str]:
    """Store the halves of a stored decoder, unless another version of the same decoder has them."""
    same = ModelVersion.objects.filter(decoder_key=decoder_key).exclude(decoder_prompt_key="")
    if (known := same.first()) is not None:
        keys = HalfKeys(image=known.decoder_image_key, prompt=known.decoder_prompt_key)
    else:
        halves = _cut(decoder_key)
        keys = HalfKeys(image="", prompt=decoder_key)
        if halves.image is not None:
            image = storage.put_bytes(DECODER_KIND, halves.image, ".onnx")
            keys = HalfKeys(image, storage.put_bytes(DECODER_KIND, halves.prompt, ".onnx"))
    return {"decoder_image_key": keys.image, "decoder_prompt_key": keys.prompt}


def _cut(decoder_key: str) -> DecoderHalves:
    data = storage.read_bytes(decoder_key)
    try:
        return cut_decoder(data)
    except DecodingError as error:  # whoever runs it will say so; a candidate's gate does first
        logger.warning("the decoder %s stays whole: %s", decoder_key, error)
        return DecoderHalves(None, data)
