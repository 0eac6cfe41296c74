"""What one visit to an example gives the decoder: features of the image, and masks to ask for."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from sam.coordinates import Frame
from sam.modeling.features import ImageFeatures
from sam.modeling.model import Sam
from training.data.examples import Example
from training.data.features import FeatureStore, load_image
from training.data.jitter import jittered
from training.data.targets import model_masks
from training.finetuning.encoder_layers import drop_path
from training.loop.config import TrainConfig
from training.loop.precision import step_autocast


class Inputs(Protocol):
    """Return features of one image and masks (N, S, S) bool in its frame, on one device.

    Raises ManifestError when the image can no longer be read.
    """

    def __call__(
        self, example: Example, *, generator: torch.Generator
    ) -> tuple[ImageFeatures, Tensor]: ...


class StoredInputs:
    """Features of a frozen encoder, computed once."""

    def __init__(self, store: FeatureStore, *, config: TrainConfig) -> None:
        self.store = store
        self.config = config

    def __call__(
        self, example: Example, *, generator: torch.Generator
    ) -> tuple[ImageFeatures, Tensor]:
        model = self.store.model
        masks = drawn_masks(model, example, config=self.config, generator=generator)
        return self.store.get(example.image), masks.to(model.device)


class EncodedInputs:
    """Features of an encoder that learns, with what the recipe does to image and layers."""

    def __init__(self, model: Sam, *, config: TrainConfig) -> None:
        self.model = model
        self.config = config

    def __call__(
        self, example: Example, *, generator: torch.Generator
    ) -> tuple[ImageFeatures, Tensor]:
        model, config = self.model, self.config
        images, masks = self._image_and_masks(example, generator=generator)
        encoder = model.image_encoder
        with (
            drop_path(encoder, rate=config.drop_path, generator=generator),
            step_autocast(model.device),
        ):
            return model.encode(images), masks.to(model.device)

    def _image_and_masks(
        self, example: Example, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        model, config = self.model, self.config
        image_rgb = load_image(example.image)
        if config.jitter_scale is not None:
            view = jittered(
                image_rgb,
                example.rles,
                size_px=model.config.image_size_px,
                scale=config.jitter_scale,
                max_masks=config.masks_per_image,
                generator=generator,
            )
            if view is not None:
                pixels, masks = view
                return model.normalise_and_pad(pixels.to(model.device)), masks
        masks = drawn_masks(model, example, config=config, generator=generator)
        return model.preprocess(image_rgb), masks


def drawn_masks(
    model: Sam, example: Example, *, config: TrainConfig, generator: torch.Generator
) -> Tensor:
    """Draw at most masks_per_image of an example's masks: (N, S, S) bool."""
    order = torch.randperm(len(example.rles), generator=generator)[: config.masks_per_image]
    frame = Frame(example.image.image_hw, model.config.image_size_px)
    return model_masks([example.rles[int(index)] for index in order], frame=frame)
