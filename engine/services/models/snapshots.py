"""Freeze what people confirmed into a manifest for training (training/data/manifest.py)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from uuid import UUID

from django.db import transaction

from engine import storage
from engine.domain.schedule import data_obstacle
from engine.domain.states import ModelFamily, Split
from engine.models import Embedding, Image, Mask, Project, Snapshot
from engine.models.image import WHOLE_IMAGE
from engine.selectors.masks import confirmed_masks
from engine.selectors.models import serving_version


def freeze_snapshot(project: Project) -> Snapshot:
    """Write the manifest of every confirmed mask's head revision; the same data is the same row.

    It names the stored images and the serving encoder's embeddings by key.
    InvalidInput says what to label when a split is empty. Reads in one transaction.
    """
    with transaction.atomic():
        masks_of = _masks_by_image(project)
        images = list(project.images.filter(pk__in=masks_of).order_by("created_at", "id"))
        _require_both_splits(images)
        lines = list(_lines(project, images=images, masks_of=masks_of))
        key = storage.put_bytes("manifests", "".join(lines).encode(), ".jsonl")
        snapshot, _ = Snapshot.objects.get_or_create(
            project=project,
            sha256=storage.sha256_of(key),
            defaults={
                "manifest_key": key,
                "num_images": len(images),
                "num_masks": sum(len(masks) for masks in masks_of.values()),
            },
        )
    return snapshot


def _masks_by_image(project: Project) -> dict[UUID, list[Mask]]:
    masks_of: dict[UUID, list[Mask]] = {}
    chosen = confirmed_masks(project).exclude(image__split=Split.UNDECIDED.value)
    for mask in chosen.select_related("head__parent").order_by("order", "id"):
        masks_of.setdefault(mask.image_id, []).append(mask)
    return masks_of


def _require_both_splits(images: Iterable[Image]) -> None:
    missing = data_obstacle(Counter(image.split for image in images))
    if missing is not None:
        raise missing


def _lines(
    project: Project, *, images: list[Image], masks_of: dict[UUID, list[Mask]]
) -> Iterator[str]:
    features = _feature_references(project, images=images)
    for image in images:
        record: dict[str, object] = {
            "image": storage.reference(image.storage_key),
            "image_id": str(image.pk),
            "split": image.split,
            "source": project.slug,
        }
        if path := features.get(image.pk):
            record["features"] = path
        size = [image.height_px, image.width_px]
        record["masks"] = [
            {
                "id": str(mask.pk),
                "rle": {"size": size, "counts": mask.head.rle_counts},
                "prompts": _prompts_of(mask),
            }
            for mask in masks_of[image.pk]
        ]
        yield json.dumps(record, sort_keys=True) + "\n"


def _prompts_of(mask: Mask) -> list[object]:
    """Return what led to the mask's shape; for a refined one what led to the shape before, too."""
    head = mask.head
    is_refined = any(prompt.get("type") == "mask" for prompt in head.prompts)
    before = head.parent.prompts if is_refined and head.parent is not None else []
    return [*before, *head.prompts]


def _feature_references(project: Project, *, images: list[Image]) -> dict[object, str]:
    version = serving_version(project, family=ModelFamily.SAM)
    if version is None:
        return {}
    embeddings = Embedding.objects.filter(
        image__in=images, encoder_sha256=version.encoder_sha256, crop=WHOLE_IMAGE
    ).values_list("image_id", "storage_key")
    return {image_id: storage.reference(key) for image_id, key in embeddings}
