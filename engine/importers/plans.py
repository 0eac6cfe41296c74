"""Put the images of a dataset together with their annotations, whatever their formats."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from engine.domain.errors import InvalidInput
from engine.importers import IMPORTERS, PLAIN_IMAGES
from engine.importers.records import (
    Annotation,
    Content,
    File,
    Found,
    Group,
    Importer,
    ImportPlan,
    RefusedItem,
    Source,
)

OWN_FILES = {"provenance.jsonl", "manifest.sha256"}
"""What our own exports hold beside images and annotations: neither read nor refused."""


def plan(source: Source) -> ImportPlan:
    """Read the annotation files and find the image of every entry. Images are not opened."""
    refused = list(source.refused)
    images: dict[str, File] = {}
    groups: list[Group] = []
    for file in source.files:
        try:
            found = _read(Content(file, source))
        except InvalidInput as error:
            reason = error.message.removeprefix(f"{file.name}: ")
            found = Found(refused=[RefusedItem(name=file.name, reason=reason)])
        images |= {image.name: image for image in found.images}
        groups += found.groups
        refused += found.refused
    by_image, unmatched = _match(groups, images=images)
    refused += unmatched
    if not images:
        refused.append(RefusedItem(name="(everything)", reason="there is no image in it"))
    return ImportPlan(
        images=[(file, by_image.get(name, ())) for name, file in images.items()],
        refused=refused,
    )


def _read(content: Content) -> Found:
    """Let the one importer that recognises a file read it.

    InvalidInput when none does, or when several do: a guess might take in wrong masks.
    """
    readers = [one for one in IMPORTERS.values() if content.suffix in one.SUFFIXES]
    if not readers and PurePosixPath(content.name).name in OWN_FILES:
        return Found()
    if not readers:
        raise InvalidInput("its name is not that of an image")
    claims = [one for one in readers if one.recognises(content)]
    if len(claims) > 1:
        claims = [one for one in claims if one.NAME != PLAIN_IMAGES]
    match claims:
        case [importer]:
            return importer.read(content)
        case []:
            raise InvalidInput(f"it is an annotation file of none of {_titles(readers)}")
        case _:
            raise InvalidInput(f"it could be any of {_titles(claims)}; nothing was taken from it")


def _titles(importers: Sequence[Importer]) -> str:
    return ", ".join(one.TITLE for one in importers)


def _match(
    groups: Sequence[Group], *, images: Mapping[str, File]
) -> tuple[Mapping[str, list[Annotation]], list[RefusedItem]]:
    """Find each group's image: the name as it is, beside the file, or the only such end."""
    by_last: dict[str, list[str]] = defaultdict(list)
    for name in images:
        by_last[PurePosixPath(name).name].append(name)
    matched: dict[str, list[Annotation]] = defaultdict(list)
    refused: list[RefusedItem] = []
    for group in groups:
        names = _names(group, images=images, by_last=by_last)
        if len(names) == 1:
            matched[names[0]].extend(group.annotations)
        elif group.annotations or not names:
            reason = "several images have" if names else "there is no image of"
            lost = f" ({len(group.annotations)} masks)" if group.annotations else ""
            where = f"{group.file}: {group.image_name}"
            refused.append(RefusedItem(name=where, reason=f"{reason} this name{lost}"))
    return matched, refused


def _names(
    group: Group, *, images: Mapping[str, File], by_last: Mapping[str, list[str]]
) -> list[str]:
    wanted, folder = group.image_name, PurePosixPath(group.file).parent
    for name in (wanted, str(folder / wanted), str(folder / "images" / wanted)):
        if name in images:
            return [name]
    same_last = by_last.get(PurePosixPath(wanted.replace("\\", "/")).name, [])
    same_end = [name for name in same_last if name.endswith(f"/{wanted}")]
    return same_end if len(same_end) == 1 else same_last
