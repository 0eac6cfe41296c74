"""COCO instances: one file of images and annotations, recognised by these two lists."""

from __future__ import annotations

from engine.importers.records import Annotation, Content, Found, Group, RefusedItem
from masks import coco

NAME = "coco"
TITLE = "COCO"
DESCRIPTION = "COCO instances beside the images: polygons or run lengths; categories are labels."
SUFFIXES = frozenset({".json"})


def recognises(content: Content) -> bool:
    """Tell whether the file is a COCO document."""
    return coco.is_coco(content.json)


def read(content: Content) -> Found:
    """Return the annotations of every image that the file lists."""
    dataset = coco.read(content.json)
    problems = [
        *dataset.problems,
        *((one.where, f"there is no image {one.image_id!r}"[:200]) for one in dataset.strays),
    ]
    return Found(
        groups=[
            Group(
                file=content.name,
                image_name=image.file_name,
                annotations=[
                    Annotation(
                        file=content.name,
                        annotation_id=one.annotation_id,
                        segmentation=one.segmentation,
                        category=one.category,
                        is_crowd=one.is_crowd,
                        size_hw=image.size_hw,
                    )
                    for one in dataset.annotations[image.key]
                ],
            )
            for image in dataset.images
        ],
        refused=[
            RefusedItem(name=f"{content.name}: {where}", reason=reason)
            for where, reason in problems
        ],
    )
