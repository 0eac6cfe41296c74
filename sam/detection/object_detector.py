"""A one-class object detector on the features of a frozen SAM encoder (paper section 4, stage 2).

Finds boxes worth prompting SAM with; training it is `training.train_detector`'s business.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from sam.checkpoints.checkpoint_files import (
    CheckpointError,
    encoder_sha256,
    read_header_values,
    write_atomically,
)
from sam.coordinates import Frame
from sam.modeling.features import ImageFeatures
from sam.modeling.layers import LayerNorm2d
from sam.modeling.model import Sam
from sam.nms import box_nms
from sam.tensor_files import opened, safetensors_bytes

PRIOR_SCORE = 0.01
BASE_SIZE_STRIDES = 4.0  # a box of log-size 0 has sides of four strides
MAX_LOG_SIZE = 4.0
MAX_CANDIDATES = 1000  # before non-maximum suppression
_CONFIG_KEY = "segloop_detector_config"
_METADATA_KEY = "segloop_metadata"


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorConfig:
    """The encoder a detector reads (its identity, image size, channels) and its own shape.

    score_thresh: where training found hits and false boxes in balance; `detect` starts there.
    object_side_px: median long side of the objects it learned, in image pixels: how closely to look
    at other images of that kind (`sam.detection.multi_scale`). None: images of all kinds.
    """

    encoder_sha256: str
    image_size_px: int
    embed_channels: int
    high_res_channels: int = 0
    width: int = 64
    tower_layers: int = 2
    score_thresh: float = 0.3
    strides_px: tuple[int, ...] = (8, 16, 32, 64)
    object_side_px: float | None = None

    def __post_init__(self) -> None:
        if self.object_side_px is not None and not self.object_side_px > 0:
            raise ValueError("object_side_px is above 0, or None")

    @property
    def embedding_stride_px(self) -> int:
        """Stride of the embedding, which is the pyramid's second level."""
        return self.strides_px[1]


class Detections(NamedTuple):
    """Boxes of one image, best first: boxes_xyxy_px (N, 4) in image pixels, scores (N,)."""

    boxes_xyxy_px: NDArray[np.float64]
    scores: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelOutput:
    """What the head says at one pyramid level, in the model frame.

    score_logits: (B, H, W); boxes_xyxy: (B, H, W, 4) model px; centers_xy: (H, W, 2) model px.
    """

    stride_px: int
    score_logits: Tensor
    boxes_xyxy: Tensor
    centers_xy: Tensor


def _conv_block(in_channels: int, channels: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False),
        LayerNorm2d(channels),  # per position: padding cannot move the statistics
        nn.GELU(),
    )


class FeaturePyramid(nn.Module):
    """Spread the stride-16 embedding (and the stride-4 map, if any) over strides 8 to 64."""

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        width = config.width
        self.embed_norm = LayerNorm2d(config.embed_channels)
        self.lateral_16 = nn.Conv2d(config.embed_channels, width, 1)
        self.lateral_8: nn.Module
        if config.high_res_channels:
            self.lateral_8 = nn.Sequential(
                LayerNorm2d(config.high_res_channels),
                nn.Conv2d(config.high_res_channels, width, 3, stride=2, padding=1),
            )
        else:
            self.lateral_8 = nn.ConvTranspose2d(config.embed_channels, width, 2, stride=2)
        self.down_32 = _conv_block(width, width, stride=2)
        self.down_64 = _conv_block(width, width, stride=2)
        self.smooth_16 = _conv_block(width, width)
        self.smooth_8 = _conv_block(width, width)

    def forward(self, features: ImageFeatures) -> tuple[Tensor, ...]:
        embedding = self.embed_norm(features.image_embeddings)
        high_res = features.high_res_features
        p8 = self.lateral_8(embedding if high_res is None else high_res)
        p16 = self.lateral_16(embedding)
        p32 = self.down_32(p16)
        p64 = self.down_64(p32)
        p32 = p32 + F.interpolate(p64, size=p32.shape[-2:])
        p16 = self.smooth_16(p16 + F.interpolate(p32, size=p16.shape[-2:]))
        p8 = self.smooth_8(p8 + F.interpolate(p16, size=p8.shape[-2:]))
        return p8, p16, p32, p64


class ObjectDetector(nn.Module):
    """Score every position of the pyramid and regress one box from it, whatever the object.

    The score is trained towards the IoU of its own box, so it ranks boxes by quality. A box is a
    centre offset and a log-size, not four distances: an object smaller than a stride may not
    contain the position that answers for it.
    """

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.config = config
        self.pyramid = FeaturePyramid(config)
        self.tower = nn.Sequential(
            *(_conv_block(config.width, config.width) for _ in range(config.tower_layers))
        )
        self.score_head = nn.Conv2d(config.width, 1, 3, padding=1)
        self.box_head = nn.Conv2d(config.width, 4, 3, padding=1)
        nn.init.normal_(self.box_head.weight, std=0.03)
        nn.init.normal_(self.score_head.weight, std=0.01)
        nn.init.zeros_(self.box_head.bias)  # type: ignore[arg-type]
        nn.init.constant_(self.score_head.bias, -math.log(1 / PRIOR_SCORE - 1))  # type: ignore[arg-type]

    def forward(self, features: ImageFeatures) -> list[LevelOutput]:
        """Return one output per pyramid level for a batch of images."""
        maps = self.pyramid(features)
        return [
            self._level(level, stride_px=stride_px)
            for level, stride_px in zip(maps, self.config.strides_px, strict=True)
        ]

    @torch.no_grad()
    def detect(
        self,
        features: ImageFeatures,
        frame: Frame,
        *,
        score_thresh: float | None = None,
        max_boxes: int = 100,
        nms_iou: float = 0.6,
    ) -> Detections:
        """Return the boxes of one image that score at least `score_thresh`, clipped to the image.

        score_thresh: None takes the one that suited the detector in training.
        Raises ValueError when the features or the frame are of another model.
        """
        self._check_fit(features, frame)
        scores, boxes = self._candidates(features, frame)
        keep = scores >= (self.config.score_thresh if score_thresh is None else score_thresh)
        scores, boxes = scores[keep], boxes[keep]
        order = scores.argsort(descending=True, stable=True)[:MAX_CANDIDATES]
        boxes_px = frame.boxes_to_image(boxes[order].cpu().numpy())
        kept_scores = scores[order].cpu().double().numpy()
        solid = (boxes_px[:, 2:] - boxes_px[:, :2] >= 1.0).all(axis=1)  # image pixels
        boxes_px, kept_scores = boxes_px[solid], kept_scores[solid]
        kept = np.asarray(box_nms(boxes_px, kept_scores, nms_iou))[:max_boxes]
        return Detections(boxes_px[kept], kept_scores[kept])

    def _candidates(self, features: ImageFeatures, frame: Frame) -> tuple[Tensor, Tensor]:
        levels = self(features)
        scores = torch.cat([level.score_logits[0].flatten() for level in levels]).sigmoid()
        boxes = torch.cat([level.boxes_xyxy[0].flatten(0, 1) for level in levels])
        centers = torch.cat([level.centers_xy.flatten(0, 1) for level in levels])
        on_image = (centers[:, 0] < frame.input_hw[1]) & (centers[:, 1] < frame.input_hw[0])
        return scores[on_image], boxes[on_image]

    def _check_fit(self, features: ImageFeatures, frame: Frame) -> None:
        config = self.config
        expected = (1, config.embed_channels, config.image_size_px // config.embedding_stride_px)
        if tuple(features.image_embeddings.shape[:3]) != expected:
            raise ValueError(
                f"this detector reads one embedding of {config.embed_channels} channels at "
                f"{config.image_size_px} px, not {tuple(features.image_embeddings.shape)}"
            )
        high = features.high_res_features
        if (0 if high is None else high.shape[1]) != config.high_res_channels:
            raise ValueError("the high-resolution features are of another model")
        if frame.image_size_px != config.image_size_px:
            raise ValueError(f"the frame is of {frame.image_size_px} px, not of this detector")

    def _level(self, level: Tensor, *, stride_px: int) -> LevelOutput:
        hidden = self.tower(level)
        centers_xy = position_centers(level.shape[-2:], stride_px=stride_px, device=level.device)
        return LevelOutput(
            stride_px=stride_px,
            score_logits=self.score_head(hidden)[:, 0].float(),
            boxes_xyxy=decode_boxes(
                self.box_head(hidden).permute(0, 2, 3, 1).float(),
                centers_xy=centers_xy,
                stride_px=stride_px,
            ),
            centers_xy=centers_xy,
        )


def position_centers(hw: tuple[int, ...], *, stride_px: int, device: torch.device) -> Tensor:
    """Return the (H, W, 2) centres of the cells of a feature map, xy in model px."""
    y = (torch.arange(hw[0], device=device) + 0.5) * stride_px
    x = (torch.arange(hw[1], device=device) + 0.5) * stride_px
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack((grid_x, grid_y), dim=-1)


def decode_boxes(raw: Tensor, *, centers_xy: Tensor, stride_px: int) -> Tensor:
    """Turn (..., 4) centre offsets and log-sizes into xyxy boxes in model px."""
    center = centers_xy + raw[..., :2] * stride_px
    half = (
        raw[..., 2:].clamp(-MAX_LOG_SIZE, MAX_LOG_SIZE).exp() * (BASE_SIZE_STRIDES / 2) * stride_px
    )
    return torch.cat((center - half, center + half), dim=-1)


@dataclass(frozen=True, slots=True)
class DetectorHeader:
    """What a detector file says about itself, read without its weights."""

    config: DetectorConfig
    metadata: dict[str, Any]


def config_for(model: Sam) -> DetectorConfig:
    """Return the default detector shape for a SAM's encoder."""
    stride_px = model.config.embedding_stride_px
    return DetectorConfig(
        encoder_sha256=encoder_sha256(model),
        image_size_px=model.config.image_size_px,
        embed_channels=model.config.embed_channels,
        high_res_channels=model.config.high_res_channels,
        strides_px=(stride_px // 2, stride_px, 2 * stride_px, 4 * stride_px),
    )


def save(
    detector: ObjectDetector, path: str | Path, metadata: Mapping[str, Any] | None = None
) -> None:
    """Write weights, configuration and JSON-ready metadata, whole or not at all."""
    tensors = {name: t.detach().cpu().contiguous() for name, t in detector.state_dict().items()}
    header = {
        _CONFIG_KEY: json.dumps(asdict(detector.config), sort_keys=True),
        _METADATA_KEY: json.dumps(dict(metadata or {}), sort_keys=True),
    }
    write_atomically(Path(path), safetensors_bytes(tensors, header))


def load(path: str | Path, *, device: torch.device | str = "cpu") -> ObjectDetector:
    """Read a detector in evaluation mode. Raises CheckpointError."""
    path = Path(path)
    detector = ObjectDetector(read_header(path).config)
    with opened(path) as file:
        detector.load_state_dict(file.read_fitting(detector.state_dict()))
    return detector.to(device).eval()


def read_header(path: str | Path) -> DetectorHeader:
    """Read configuration and metadata of a detector file. Raises CheckpointError."""
    path = Path(path)
    values = read_header_values(path, what="detector", config_key=_CONFIG_KEY)
    try:
        shape = json.loads(values[_CONFIG_KEY])
        config = DetectorConfig(**{**shape, "strides_px": tuple(shape["strides_px"])})
        return DetectorHeader(config, json.loads(values.get(_METADATA_KEY, "{}")))
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"the header of {path.name} cannot be read: {error}") from None
