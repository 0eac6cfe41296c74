"""Masks at image resolution from low-resolution logits, looking only where they change.

The two bilinear resizes of the reference (see `Frame.to_image_logits`) are linear: an image pixel
is a fixed mix of at most 3 x 3 neighbouring logits. Where all nine lie on one side of a cut, so
does every pixel mixed from them, and most of a mask is such plain inside or outside. Only the
cells along its edges are worked out pixel by pixel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam.coordinates import Frame

_WINDOW = 3
_PIXELS_AT_ONCE = 1 << 21
_CUT = 0.0


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures of n masks in image pixels, all counted at full resolution.

    num_inner, num_outer: pixels above offset and above -offset. area: pixels above 0.
    box_xyxy: (n, 4) first and last column and row with a pixel above 0; x1 < x0 when empty.
    """

    num_inner: Tensor
    num_outer: Tensor
    area: Tensor
    box_xyxy: Tensor

    @property
    def stability(self) -> Tensor:
        """IoU of the two outer cuts (paper section B): (n,); 0 when empty."""
        return self.num_inner / self.num_outer.clamp(min=1)


@dataclass(frozen=True, slots=True)
class _Axis:
    """One axis of the image, cut into B bands of pixels that are mixed from the same logits.

    first: (B,) the first of a band's three logits. start, count: (B,) its pixels. band: (L,) the
    band of each pixel. weights: (B, K, 3) for each pixel of a band; NaN past its count, so that
    no comparison holds there.
    """

    first: Tensor
    start: Tensor
    count: Tensor
    band: Tensor
    weights: Tensor

    @classmethod
    def of(cls, num_px: int, num_input_px: int, num_logits: int, *, stride_px: int) -> _Axis:
        """Compose the resizes: logits to stride_px times as many, cropped, to num_px."""
        low, high, share = _bilinear(num_px, num_input_px, scale=num_input_px / num_px)
        inner = np.zeros((num_input_px, num_logits + _WINDOW))
        inner_low, inner_high, inner_share = _bilinear(
            num_input_px, num_logits, scale=1 / stride_px
        )
        rows = np.arange(num_input_px)
        np.add.at(inner, (rows, inner_low), 1.0 - inner_share)
        np.add.at(inner, (rows, inner_high), inner_share)
        mix = inner[low] * (1.0 - share)[:, None] + inner[high] * share[:, None]
        first = np.minimum(inner_low[low], max(num_logits - _WINDOW, 0))
        # The bands at both ends are wider; they are split, so that none sets the size of all.
        limit = math.ceil(num_px * stride_px / num_input_px)
        begins = np.flatnonzero(np.diff(first, prepend=-1))
        ends = np.append(begins[1:], num_px)
        starts = np.concatenate([np.arange(i, j, limit) for i, j in zip(begins, ends, strict=True)])
        counts = np.diff(starts, append=num_px)
        band = np.repeat(np.arange(starts.size), counts)
        weights = np.full((starts.size, int(counts.max()), _WINDOW), np.nan, dtype=np.float32)
        columns = first[:, None] + np.arange(_WINDOW)
        weights[band, np.arange(num_px) - starts[band]] = np.take_along_axis(mix, columns, axis=1)
        arrays = (first[starts], starts, counts, band, weights)
        return cls(*(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays))

    def to(self, device: torch.device) -> _Axis:
        """Move to a device."""
        parts = (self.first, self.start, self.count, self.band, self.weights)
        return _Axis(*(part.to(device) for part in parts))


def _bilinear(
    num_out: int, num_in: int, *, scale: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Sample as torch does (align_corners false): low and high sample, share of high."""
    source = np.maximum((np.arange(num_out) + 0.5) * scale - 0.5, 0.0)
    low = np.minimum(source.astype(np.int64), num_in - 1)
    return low, np.minimum(low + 1, num_in - 1), source - low


class Upscaler:
    """Measures and paints masks of one image (or crop) from (n, S, S) low-resolution logits."""

    def __init__(
        self, frame: Frame, *, low_res_size: int, device: torch.device | str = "cpu"
    ) -> None:
        height, width = frame.image_hw
        input_height, input_width = frame.input_hw
        stride = frame.image_size_px // low_res_size
        device = torch.device(device)
        self.image_hw = frame.image_hw
        self._y = _Axis.of(height, input_height, low_res_size, stride_px=stride).to(device)
        self._x = _Axis.of(width, input_width, low_res_size, stride_px=stride).to(device)

    def measure(self, logits_nss: Tensor, *, offset: float) -> Measured:
        """Count pixels above the cuts -offset, 0 and offset, and find the boxes."""
        y, x = self._y, self._x
        cuts = (-offset, _CUT, offset)
        low, high = self._levels(logits_nss, cuts)
        counts = torch.stack([self._num_plain(low > level) for level in range(3)], dim=1)
        cells = (low != high).nonzero()
        num_above = torch.cat(
            [_num_above(values, cuts) for _, values in self._edges(logits_nss, cells)]
            or [counts.new_zeros(0, 3)]
        ).long()
        mask, by, bx = cells.unbind(1)
        # What is plain for a lower cut was counted above, and is in num_above again: once is right.
        counted = low[mask, by, bx, None] > torch.arange(3, device=low.device)
        counts.index_add_(0, mask, num_above - counted * (y.count[by] * x.count[bx])[:, None])
        box = self._boxes(logits_nss, low > 1, cells[num_above[:, 1] > 0])
        outer, area, inner = counts.unbind(1)
        return Measured(num_inner=inner, num_outer=outer, area=area, box_xyxy=box)

    def _boxes(self, logits_nss: Tensor, is_plain: Tensor, inside: Tensor) -> Tensor:
        """Find boxes from plain cells (n, By, Bx) and the edge cells (M, 3) with pixels inside."""
        y, x = self._y, self._x
        columns, rows = _Extent.of(is_plain.any(1), x), _Extent.of(is_plain.any(2), y)
        mask, by, bx = inside.unbind(1)
        # Only cells in the outermost bands that have any pixel can move a side.
        is_outer = _is_outermost(mask, bx, len(is_plain)) | _is_outermost(mask, by, len(is_plain))
        for cell, values in self._edges(logits_nss, inside[is_outer]):
            columns.widen(cell.mask, (values > _CUT).any(2), x.start[cell.bx])
            rows.widen(cell.mask, (values > _CUT).any(1), y.start[cell.by])
        return torch.stack([columns.first, rows.first, columns.last, rows.last], dim=1)

    def paint(self, logits_ss: Tensor) -> NDArray[np.bool_]:
        """Return one mask (logit above 0) as (H, W) bool, column-major in memory."""
        height, width = self.image_hw
        y, x = self._y, self._x
        logits = logits_ss.unsqueeze(0)
        low, high = self._levels(logits, (_CUT,))
        plain = (low[0] > 0).t()
        columns = plain[x.band][:, y.band].flatten()
        for cell, values in self._edges(logits, (low != high).nonzero()):
            rows_of = y.start[cell.by][:, None] + _range(values, 2)
            columns_of = x.start[cell.bx][:, None] + _range(values, 1)
            place = columns_of[:, :, None] * height + rows_of[:, None, :]
            is_pixel = ~torch.isnan(values)
            columns[place[is_pixel]] = values[is_pixel] > _CUT
        return np.asarray(columns.cpu().numpy().reshape(width, height).T)

    def _num_plain(self, is_plain: Tensor) -> Tensor:
        """Count the pixels of (n, By, Bx) marked cells: (n,) int64."""
        in_row = is_plain.float() @ self._x.count.float()  # whole numbers below 2^24: exact
        return (in_row.long() * self._y.count).sum(1)  # mps has no float64, cuda no int64 product

    def _levels(self, logits_nss: Tensor, cuts: Sequence[float]) -> tuple[Tensor, Tensor]:
        """Return how many of the rising cuts all nine, and any of nine, logits exceed.

        Both are (n, By, Bx) uint8.
        """
        low = torch.zeros(logits_nss.shape, dtype=torch.uint8, device=logits_nss.device)
        for cut in cuts:
            low += logits_nss > cut
        high = low
        for axis, bands in ((1, self._y), (2, self._x)):
            low = _of_window(low, axis, torch.minimum).index_select(axis, bands.first)
            high = _of_window(high, axis, torch.maximum).index_select(axis, bands.first)
        return low, high

    def _edges(self, logits_nss: Tensor, cells: Tensor) -> Iterator[tuple[_Cells, Tensor]]:
        """Yield cells (M, 3), some at a time, and their pixels (M, Kx, Ky)."""
        y, x = self._y, self._x
        per_cell = y.weights.shape[1] * x.weights.shape[1]
        size = logits_nss.shape[-1]
        window = torch.arange(_WINDOW, device=cells.device)
        nine = (window[:, None] * size + window).flatten()
        flat = logits_nss.reshape(-1)
        for part in torch.split(cells, max(1, _PIXELS_AT_ONCE // per_cell)):
            cell = _Cells(*part.unbind(1))
            corner = (cell.mask * size + y.first[cell.by]) * size + x.first[cell.bx]
            patches = flat[corner[:, None] + nine].reshape(-1, _WINDOW, _WINDOW)  # rows first
            tall = _mix(patches, y.weights[cell.by])  # (M, Ky, 3)
            yield cell, _mix(tall.transpose(1, 2), x.weights[cell.bx])


@dataclass(frozen=True, slots=True)
class _Cells:
    """M cells, by mask, row band and column band: (M,) each."""

    mask: Tensor
    by: Tensor
    bx: Tensor


@dataclass(frozen=True, slots=True)
class _Extent:
    """First and last pixel of n masks along one axis: (n,) each, changed in place."""

    first: Tensor
    last: Tensor

    @classmethod
    def of(cls, has_plain: Tensor, axis: _Axis) -> _Extent:
        """Begin with the bands that hold plain inside, (n, B)."""
        num_px = len(axis.band)
        first = torch.where(has_plain, axis.start, num_px).amin(1)
        last = torch.where(has_plain, axis.start + axis.count - 1, -1).amax(1)
        return cls(first, last)

    def widen(self, mask: Tensor, is_inside: Tensor, start: Tensor) -> None:
        """Take in the pixels marked in (M, K), which begin at start (M,)."""
        place = start[:, None] + _range(is_inside, 1)
        far = torch.iinfo(place.dtype).max
        first = torch.where(is_inside, place, far).amin(1)
        self.first.scatter_reduce_(0, mask, first, "amin")
        self.last.scatter_reduce_(0, mask, torch.where(is_inside, place, -1).amax(1), "amax")


def _is_outermost(mask: Tensor, band: Tensor, num_masks: int) -> Tensor:
    """Say which (M,) bands are the first or the last of their mask."""
    far = torch.iinfo(band.dtype).max
    first = band.new_full((num_masks,), far).scatter_reduce_(0, mask, band, "amin")
    last = band.new_full((num_masks,), -1).scatter_reduce_(0, mask, band, "amax")
    return (band == first[mask]) | (band == last[mask])


def _range(values: Tensor, axis: int) -> Tensor:
    return torch.arange(values.shape[axis], device=values.device)


def _of_window(levels: Tensor, axis: int, pick: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Reduce every run of three along an axis; it becomes two shorter."""
    length = levels.shape[axis] - _WINDOW + 1
    shifted = [levels.narrow(axis, start, length) for start in range(_WINDOW)]
    return pick(pick(shifted[0], shifted[1]), shifted[2])


def _num_above(values: Tensor, cuts: Sequence[float]) -> Tensor:
    """Count the values (M, Kx, Ky) of each cell above each cut: (M, 3) float."""
    flat = values.flatten(1)
    is_above, ones = torch.empty_like(flat), flat.new_ones(flat.shape[1])
    # Straight into floats and a product: half the time of a comparison and a sum.
    return torch.stack([torch.gt(flat, cut, out=is_above) @ ones for cut in cuts], dim=1)


def _mix(values: Tensor, weights: Tensor) -> Tensor:
    """Sum values (M, 3, C) over their three, weighed by (M, K, 3): (M, K, C)."""
    mixed = weights[:, :, 0, None] * values[:, None, 0]
    for i in range(1, _WINDOW):
        mixed.addcmul_(weights[:, :, i, None], values[:, None, i])
    return mixed
