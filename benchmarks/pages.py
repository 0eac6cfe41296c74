"""Server time of a page of 100 images with overlays, and of the overlays themselves.

    python -m benchmarks.pages [--masks-per-image 100] [--images 300] [--postgresql]

Half of the images have their masks as rows, half packed. Goal: 300 ms a page.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

from benchmarks.database import (
    HEIGHT_PX,
    WIDTH_PX,
    insert_human_masks,
    own_database,
    shapes,
)

ROUNDS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--masks-per-image", type=int, default=100)
    parser.add_argument("--postgresql", action="store_true")
    options = parser.parse_args()
    vendor = "postgresql" if options.postgresql else "sqlite"
    with own_database(vendor):
        os.environ["SEGLOOP_SECRET_KEY"] = "x" * 40
        measure(options, vendor)


def measure(options: argparse.Namespace, vendor: str) -> None:
    from django.db import transaction
    from django.test import Client

    from engine.models import Image

    with transaction.atomic():
        project = fill(options.images, options.masks_per_image)
    client = Client(headers={"host": "localhost"})
    client.force_login(project.created_by)
    path = f"/projects/{project.slug}/images/"
    pages = [
        ("first page", path),
        ("last page", f"{path}?page=99"),
        ("filtered by source", f"{path}?source=automatic"),
        ("filtered by name", f"{path}?q=photo"),
        ("without masks", f"{path}?source=none"),
        ("page of the project", f"/projects/{project.slug}/"),
    ]
    print(
        f"{vendor}, {options.images} images, {options.masks_per_image} masks each, "
        f"load before {os.getloadavg()[0]:.1f}; median [range] of {ROUNDS}"
    )
    for name, address in pages:
        report(name, [timed(client, address) for _ in range(ROUNDS)])
    some = list(Image.objects.order_by("created_at", "id")[:ROUNDS])
    overlays = [f"/api/v1/images/{image.pk}/overlay" for image in some]
    report("overlay, drawn", [timed(client, address) for address in overlays])
    report("overlay, kept", [timed(client, address) for address in overlays])


def timed(client, address: str) -> tuple[float, float]:
    """Return wall clock and processor milliseconds of one request."""
    started, cpu = time.perf_counter(), time.process_time()
    response = client.get(address)
    if response.streaming:
        b"".join(response.streaming_content)
    assert response.status_code == 200, (address, response.status_code)
    return 1e3 * (time.perf_counter() - started), 1e3 * (time.process_time() - cpu)


def report(name: str, times: list[tuple[float, float]]) -> None:
    wall = [one[0] for one in times]
    print(
        f"  {name:22s} {statistics.median(wall):7.1f} ms [{min(wall):.1f} to {max(wall):.1f}], "
        f"{statistics.median(one[1] for one in times):.1f} ms of processor"
    )


def fill(num_images: int, masks_per_image: int):
    """Make a project of images with masks, and return it."""
    from engine import storage
    from engine.domain.ids import derived_ids, uuid7
    from engine.domain.proposals import Proposal
    from engine.models import Image, MaskRevision
    from engine.selectors.stages import active_stage
    from engine.services.masks import packed_masks
    from engine.services.masks.shapes import shape_columns
    from tests import factories

    project = factories.make_project()
    version = factories.make_version(project)
    author = factories.make_user()
    stage = active_stage(project)
    assert stage is not None
    key = storage.put_bytes("images", factories.image_bytes(), ".png")
    made = shapes(masks_per_image)
    columns = [shape_columns(one) for one in made]
    click = [{"type": "point", "x_px": 10.5, "y_px": 20.25, "label": 1}]
    for number in range(num_images):
        image = Image.objects.create(
            project=project,
            sha256=uuid7().hex * 2,
            storage_key=key,
            thumbnail_key=key,
            file_name=f"photo-{number}.jpg",
            width_px=WIDTH_PX,
            height_px=HEIGHT_PX,
        )
        if number % 2:
            ids = derived_ids(str(image.pk), "mask", masks_per_image)
            chosen = [
                (mask_id, i, Proposal(rle=made[i], predicted_iou=0.9, prompts=click))
                for i, mask_id in enumerate(ids)
            ]
            new = packed_masks.NewRun(
                image=image,
                stage=stage,
                model_version=version,
                idem_key=str(image.pk),
                chosen=chosen,
            )
            packed_masks.store_runs([new])
            continue
        revisions = [
            MaskRevision(mask_id=uuid7(), kind="create", author=author, prompts=click, **one)
            for one in columns
        ]
        insert_human_masks(image, stage, revisions)
    return project


if __name__ == "__main__":
    main()
