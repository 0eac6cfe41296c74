"""The kinds of image encoders, by the name that checkpoints store.

A kind is one module of this package and one line at the end of this file. Modules are imported
when a kind is first asked for, so configurations can be written without them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Generic, Protocol, TypeVar

from torch import nn


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Base of every encoder's configuration: a frozen dataclass of numbers and tuples of numbers.

    The fields are stored in checkpoints; each encoder derives its own.
    """


class ModelSizes(Protocol):
    """What an encoder has to know of the model around it; `SamConfig` has it."""

    @property
    def image_size_px(self) -> int:
        """Side of the square images."""

    @property
    def embed_channels(self) -> int:
        """Channels of the embedding."""

    @property
    def high_res_channels(self) -> int:
        """Channels of the stride-4 map; 0 without one."""


C = TypeVar("C", bound=EncoderConfig)


@dataclass(frozen=True, kw_only=True)
class EncoderSpec(Generic[C]):
    """What the rest of the code asks about a kind of encoder.

    Attributes:
        config_class: a frozen dataclass derived from EncoderConfig; unique to the kind.
        build: make the module: normalised (B, 3, S, S) images to `ImageFeatures`.
        check: raise ConfigError when the configuration cannot be built in such a model.
        size_step_px: image sizes are multiples of it.
        has_fixed_size: whether parameters depend on the image size, so that weights serve one
            size only.
        prefers_onnxruntime: whether workers serve it in onnxruntime on a CPU, at the cost of
            holding its weights twice.
    """

    config_class: type[C]
    build: Callable[[C, ModelSizes], nn.Module]
    check: Callable[[C, ModelSizes], None]
    size_step_px: int
    has_fixed_size: bool
    prefers_onnxruntime: bool


class EncoderRegistry(Mapping[str, EncoderSpec[Any]]):
    """Kinds of encoders by name, in the order of their registration."""

    def __init__(self) -> None:
        self._items: dict[str, EncoderSpec[Any] | str] = {}

    def __getitem__(self, kind: str) -> EncoderSpec[Any]:
        item = self._items[kind]
        if isinstance(item, str):
            spec: EncoderSpec[Any] = import_module(item).SPEC
            self._items[kind] = item = spec
        return item

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def register(self, kind: str, item: EncoderSpec[Any] | str) -> None:
        """Add a kind; ValueError when the name is taken.

        Args:
            kind: the name stored in checkpoints.
            item: the spec, or the dotted name of the module whose `SPEC` it is.
        """
        if kind in self._items:
            raise ValueError(f"encoder {kind!r} is registered twice")
        self._items[kind] = item

    @contextmanager
    def registered(self, kind: str, item: EncoderSpec[Any] | str) -> Iterator[None]:
        """Add a kind for the time of a `with` block."""
        self.register(kind, item)
        try:
            yield
        finally:
            del self._items[kind]

    def kind_of(self, config: EncoderConfig) -> str:
        """Return the name of a configuration's kind; KeyError when it is not registered."""
        for kind, spec in self.items():
            if spec.config_class is type(config):
                return kind
        raise KeyError(f"{type(config).__name__} belongs to no registered encoder")

    def spec_of(self, config: EncoderConfig) -> EncoderSpec[Any]:
        """Return the spec of a configuration's kind; KeyError when it is not registered."""
        return self[self.kind_of(config)]


ENCODERS = EncoderRegistry()
ENCODERS.register("vit", "sam.modeling.encoders.vit")
ENCODERS.register("pyramid", "sam.modeling.encoders.pyramid")
ENCODERS.register("efficientnet", "sam.modeling.encoders.efficientnet")
