"""No pixels, as after a Flatten: K is [A, B]."""

from __future__ import annotations

from typing import NoReturn

from torch import Tensor

from ntkscope.errors import ModelError


class VectorLayout:
    """Covariances of vectors; everything that concerns pixels is an error or does nothing."""

    def spread(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """As they are."""
        return u, v

    def diagonal(self, K: Tensor) -> Tensor:
        """As it is."""
        return K

    def flatten(self, K: Tensor) -> Tensor:
        """As it is."""
        return K

    def box_sum(self, K: Tensor, size: int) -> NoReturn:
        """Refused."""
        raise _no_pixels("a convolution")

    def pool(self, K: Tensor, size: int) -> NoReturn:
        """Refused."""
        raise _no_pixels("a pooling")

    def pooled(self, size: int) -> NoReturn:
        """Refused."""
        raise _no_pixels("a pooling")

    def global_pool(self, K: Tensor) -> NoReturn:
        """Refused."""
        raise _no_pixels("a pooling")


def _no_pixels(layer: str) -> ModelError:
    return ModelError(
        f"{layer} comes after the image was flattened",
        where="the order of the layers",
        remedy="put Flatten after every convolution and pooling",
    )
