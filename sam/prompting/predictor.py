"""Prompt a model on one image, in the image's own pixels.

Training and the grid generator drive `Sam` directly; people and services use this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sam.checkpoints import embedding_files
from sam.checkpoints.checkpoint_files import encoder_sha256, write_atomically
from sam.checkpoints.embedding_files import EmbeddingError
from sam.coordinates import Frame, as_tensor
from sam.modeling.features import ImageFeatures
from sam.modeling.model import ImageError, Sam, check_image, image_hw_of
from sam.prompting.prompt_inputs import PromptInputs
from sam.prompting.selection import PROMPTS_PER_BOX, PROMPTS_PER_MASK, choose
from sam.prompts import Decoded, Prompts

MASK_THRESHOLD_LOGIT = 0.0


@dataclass(frozen=True, slots=True)
class Prediction:
    """N masks of one prompt set.

    masks_nhw: (N, H, W) bool, image pixels. predicted_iou: (N,).
    low_res_logits: (N, S/4, S/4), ready to be the next mask_input.
    """

    masks_nhw: NDArray[np.bool_]
    predicted_iou: NDArray[np.float32]
    low_res_logits: NDArray[np.float32]


class NoImageError(RuntimeError):
    """The predictor was asked before it had an image."""


class Predictor:
    """Hold one image's features and answer prompts about it."""

    def __init__(self, model: Sam) -> None:
        self.model = model.eval()
        self._features: ImageFeatures | None = None
        self._frame: Frame | None = None
        self._encoder_sha256: str | None = None

    @torch.inference_mode()
    def set_image(self, image_hwc_u8: NDArray[np.uint8], image_format: str = "RGB") -> None:
        """Encode an image, RGB or "BGR" as OpenCV reads it. Raises ImageError for anything else."""
        check_image(image_hwc_u8)
        if image_format not in ("RGB", "BGR"):
            raise ImageError(f'image_format is "RGB" or "BGR", not {image_format!r}')
        if image_format == "BGR":
            image_hwc_u8 = np.ascontiguousarray(image_hwc_u8[..., ::-1])
        features = self.model.encode(self.model.preprocess(image_hwc_u8))
        self.set_features(features, image_hw_of(image_hwc_u8))

    def set_features(self, features: ImageFeatures, image_hw: tuple[int, int]) -> None:
        """Use features encoded earlier, of an image of this height and width."""
        self._frame = Frame(image_hw, self.model.config.image_size_px)
        self._features = features.to(device=self.model.device, dtype=torch.float32)

    @torch.inference_mode()
    def encode_images(
        self, images_hwc_u8: Sequence[NDArray[np.uint8]], *, images_per_batch: int = 4
    ) -> list[ImageFeatures]:
        """Encode RGB images of any sizes, several at once; the image that is set stays.

        Returns the features of each image, for set_features. images_per_batch bounds memory.
        Raises ImageError, naming the image, before one is encoded.
        """
        for index, image in enumerate(images_hwc_u8):
            try:
                check_image(image)
            except ImageError as error:
                raise ImageError(f"image {index}: {error}") from None
        found: list[ImageFeatures] = []
        for start in range(0, len(images_hwc_u8), images_per_batch):
            part = images_hwc_u8[start : start + images_per_batch]
            inputs = torch.cat([self.model.preprocess(image) for image in part])
            together = self.model.encode(inputs)
            found += [together.image(index) for index in range(len(part))]
        return found

    def save_embedding(self, path: str | Path) -> None:
        """Write the image's features in float16, whole or not at all, about 4 MB for ViTs.

        Raises NoImageError, or EmbeddingError when float16 cannot hold them.
        """
        data = embedding_files.to_bytes(
            self.features, encoder_sha256=self._encoder(), image_hw=self.frame.image_hw
        )
        write_atomically(Path(path), data)

    def load_embedding(self, path: str | Path, *, image_hw: tuple[int, int] | None = None) -> None:
        """Use features saved earlier instead of set_image.

        image_hw: the image's height and width, for embeddings that do not hold it. Raises
        EmbeddingError when the file is damaged or of another encoder; the image that is set stays.
        """
        path = Path(path)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise EmbeddingError(f"{path} cannot be read: {error.strerror}") from None
        maker = embedding_files.encoder_sha256_of(data)
        if maker != self._encoder():
            raise EmbeddingError(
                f"{path.name} was made by encoder {maker[:12]}, this model's is "
                f"{self._encoder()[:12]}"
            )
        hw = image_hw or embedding_files.image_hw_of(data)
        if hw is None:
            raise EmbeddingError(f"{path.name} does not hold the image's size: give image_hw")
        features = embedding_files.from_bytes(data)
        config, size = self.model.config, self.model.config.embedding_size
        if tuple(features.image_embeddings.shape) != (1, config.embed_channels, size, size):
            raise EmbeddingError(f"{path.name} has the shape of another model's embedding")
        self.set_features(features, hw)

    @property
    def features(self) -> ImageFeatures:
        """The image's features. Raises NoImageError before set_image or set_features."""
        if self._features is None:
            raise NoImageError("set an image before asking for its features")
        return self._features

    @property
    def frame(self) -> Frame:
        """The image's place in the model's square. Raises NoImageError."""
        if self._frame is None:
            raise NoImageError("set an image before prompting")
        return self._frame

    def predict(
        self,
        *,
        point_coords: ArrayLike | None = None,
        point_labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask_input: ArrayLike | None = None,
        multimask_output: bool = True,
    ) -> Prediction:
        """Return the three ambiguity masks, or the single mask.

        point_coords: (P, 2) x, y. point_labels: (P,) 1 for object, 0 for background, -1 for no
        point at all (padding). box: (4,) xyxy. mask_input: what to refine: (S/4, S/4) logits of an
        earlier prediction, or a mask of the image (H, W) bool. Raises PromptError.
        """
        decoded, _ = self._decode(point_coords, point_labels, box, mask_input)
        return self._pick(decoded, 0, multimask_output=multimask_output)

    @torch.inference_mode()
    def predict_batch(
        self,
        *,
        point_coords: ArrayLike | None = None,
        point_labels: ArrayLike | None = None,
        boxes: ArrayLike | None = None,
        mask_inputs: ArrayLike | None = None,
        multimask_output: bool = True,
        prompts_per_batch: int = 16,
    ) -> list[Prediction]:
        """Return what predict would for each of N prompts, decoding several at once.

        point_coords: (N, 2) for one point each, (N, P, 2), or a list of N lists of (P, 2), P each
        its own. point_labels: as many, as in predict. boxes: (N, 4) xyxy. mask_inputs: (N, S/4,
        S/4) logits or (N, H, W) bool. Raises PromptError, naming the row.
        """
        found: dict[int, Prediction] = {}
        batches = self._inputs.many(point_coords, point_labels, boxes, mask_inputs)
        for places, prompts in batches:
            for start in range(0, len(prompts), prompts_per_batch):
                few = slice(start, start + prompts_per_batch)
                decoded = self.model.decode(self.features, prompts.rows(few))
                for row, place in enumerate(places[few]):
                    found[place] = self._pick(decoded, row, multimask_output=multimask_output)
        return [found[place] for place in range(len(found))]

    def predict_one(
        self,
        *,
        point_coords: ArrayLike | None = None,
        point_labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask_input: ArrayLike | None = None,
    ) -> Prediction:
        """Return the one mask the paper's rule picks (see `selection`)."""
        decoded, num_prompts = self._decode(point_coords, point_labels, box, mask_input)
        is_crossed = None
        if num_prompts == 1 and point_coords is not None:
            is_crossed = self._is_crossed(decoded, point_coords, point_labels)
        chosen = choose(decoded, num_prompts, is_crossed=is_crossed)
        return self._finish(chosen.low_res_logits, chosen.predicted_iou)

    @torch.inference_mode()
    def predict_boxes(self, boxes_xyxy_px: ArrayLike, *, boxes_per_batch: int = 16) -> Prediction:
        """Return one mask for each of (N, 4) boxes, refined once.

        The second pass feeds box and mask back (paper section D.4).
        """
        boxes = as_tensor(self.frame.boxes_to_model(boxes_xyxy_px), device=self.model.device)
        boxes = boxes.reshape(-1, 4)
        if len(boxes) == 0:
            size = self.model.config.low_res_size
            return self._finish(boxes.new_zeros(0, size, size), boxes.new_zeros(0))
        logits, ious = [], []
        for part in torch.split(boxes, boxes_per_batch):
            decoded = self.model.decode(self.features, Prompts.make(boxes=part))
            first = choose(decoded, PROMPTS_PER_BOX)
            again = Prompts.make(boxes=part, low_res_logits=first.low_res_logits.unsqueeze(1))
            second = choose(
                self.model.decode(self.features, again), PROMPTS_PER_BOX + PROMPTS_PER_MASK
            )
            logits.append(second.low_res_logits)
            ious.append(second.predicted_iou)
        return self._finish(torch.cat(logits), torch.cat(ious))

    def _encoder(self) -> str:
        if self._encoder_sha256 is None:  # once: it reads all weights
            self._encoder_sha256 = encoder_sha256(self.model)
        return self._encoder_sha256

    def _pick(self, decoded: Decoded, row: int, *, multimask_output: bool) -> Prediction:
        kept = slice(1, None) if multimask_output else slice(0, 1)
        return self._finish(decoded.low_res_logits[row, kept], decoded.predicted_iou[row, kept])

    @property
    def _inputs(self) -> PromptInputs:
        return PromptInputs(self.frame, self.model.config, self.model.device)

    @torch.inference_mode()
    def _decode(
        self,
        point_coords: ArrayLike | None,
        point_labels: ArrayLike | None,
        box: ArrayLike | None,
        mask_input: ArrayLike | None,
    ) -> tuple[Decoded, int]:
        prompts, num_prompts = self._inputs.one(point_coords, point_labels, box, mask_input)
        return self.model.decode(self.features, prompts), num_prompts

    def _is_crossed(
        self, decoded: Decoded, coords: ArrayLike, labels: ArrayLike | None
    ) -> Tensor | None:
        """Say which of a set's four masks hold a background click (1, 4); None without one."""
        marks = np.asarray(labels)
        clicks = np.asarray(coords, dtype=np.float64)[marks == 0]
        if not len(clicks):
            return None
        height, width = self.frame.image_hw
        columns = np.minimum(clicks[:, 0].astype(int), width - 1)
        rows = np.minimum(clicks[:, 1].astype(int), height - 1)
        masks = self._finish(decoded.low_res_logits[0], decoded.predicted_iou[0]).masks_nhw
        is_crossed = masks[:, rows, columns].any(axis=1, keepdims=True).T
        return torch.as_tensor(is_crossed, device=self.model.device)

    @torch.inference_mode()
    def _finish(self, low_res_logits: Tensor, predicted_iou: Tensor) -> Prediction:
        height, width = self.frame.image_hw
        masks = np.zeros((low_res_logits.shape[0], height, width), dtype=bool)
        for index, row in enumerate(low_res_logits):  # one at a time: image-sized floats are big
            pixels = self.frame.to_image_logits(row[None, None])[0, 0]
            masks[index] = (pixels > MASK_THRESHOLD_LOGIT).cpu().numpy()
        return Prediction(
            masks_nhw=masks,
            predicted_iou=predicted_iou.float().cpu().numpy(),
            low_res_logits=low_res_logits.float().cpu().numpy(),
        )
