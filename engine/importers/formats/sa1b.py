"""SA-1B: one JSON file beside each image, recognised by its "image" and "annotations"."""

from __future__ import annotations

from engine.importers.records import Annotation, Content, Found, Group, RefusedItem
from masks import coco, sa1b

NAME = "sa1b"
TITLE = "SA-1B"
DESCRIPTION = "SA-1B's JSON file beside each image, as this program exports it too."
SUFFIXES = frozenset({".json"})


def recognises(content: Content) -> bool:
    """Tell whether the file is the annotation file of one image."""
    return sa1b.is_annotation_file(content.json)


def read(content: Content) -> Found:
    """Return the annotations of the file's image."""
    image, entries = content.json["image"], content.json["annotations"]
    file_name = image.get("file_name")
    if not isinstance(file_name, str) or not file_name:
        reason = "its image has no file_name"
        return Found(refused=[RefusedItem(name=content.name, reason=reason)])
    size_hw = coco.size_hw_of(image)
    annotations, refused = [], []
    for place, entry in enumerate(entries):
        if isinstance(entry, dict):
            annotations.append(
                Annotation(
                    file=content.name,
                    annotation_id=coco.annotation_id_of(entry, place),
                    segmentation=entry.get("segmentation"),
                    category="",
                    is_crowd=bool(entry.get("iscrowd")),
                    size_hw=size_hw,
                )
            )
        else:
            where = f"{content.name}: annotations[{place}]"
            refused.append(RefusedItem(name=where, reason="it is not an object"))
    group = Group(file=content.name, image_name=file_name, annotations=annotations)
    return Found(groups=[group], refused=refused)
