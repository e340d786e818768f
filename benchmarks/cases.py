"""What is measured, as data: networks, sizes, and the very numbers that every peer is given.

Read in the environments of all peers: NumPy only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

TODAY = ("resnet18", "vit", "gpt", "skips")
"""Networks of torch modules only; `width` counts channels, or features of a token."""

VOCABULARY = 64  # of gpt, whose inputs [N, y] are tokens
MYRTLE5_BLOCKS = (2, 1, 1)  # convolutions before each pooling


@dataclass(frozen=True)
class Case:
    """One kernel to take.

    Attributes:
        name: as printed.
        group: trace, full, or infinite (the NTK of infinite width).
        network: mlp, cnn (3×3 convolutions of `width`, 2·`width`, each pooled) or myrtle5; or one
            of `TODAY` (`peers.today`).
        width: units or channels of the first hidden layer.
        samples: N; `others`: N2, or 0 for the symmetric kernel.
        shape: of an image (y, x, channel).
        outputs: K.
        depth: hidden layers.
    """

    name: str
    group: str
    network: str
    width: int
    samples: int
    shape: tuple[int, int, int] = (32, 32, 3)
    outputs: int = 10
    depth: int = 2
    others: int = 0

    @property
    def bias(self) -> bool:
        """Whether the layers have biases."""
        return self.group != "infinite" or self.network == "mlp"

    def small(self) -> Case:
        """The same at a size for smoke tests."""
        y, x, channels = self.shape
        return replace(
            self,
            name=f"{self.name} (small)",
            width=12 if self.network in TODAY else 8,
            samples=min(self.samples, 12),
            others=min(self.others, 9),
            shape=(min(y, 8), min(x, 8), channels),
        )


def _mlp(group: str, width: int, samples: int) -> Case:
    return Case(f"{group} MLP {width} N {samples}", group, "mlp", width, samples, (28, 28, 1))


def _images(group: str, network: str, name: str, width: int, samples: int, outputs: int) -> Case:
    return Case(f"{group} {name} N {samples}", group, network, width, samples, outputs=outputs)


def _infinite_mlp(samples: int) -> Case:
    name = f"infinite MLP depth 3 N {samples}"
    return Case(name, "infinite", "mlp", 64, samples, (28, 28, 1), 1, 3)


def _infinite_myrtle(size: int) -> Case:
    name = f"infinite Myrtle-5 {size}×{size} 1000 pairs"
    return Case(name, "infinite", "myrtle5", 64, 40, (size, size, 1), 1, 5, others=25)


def _today(network: str, name: str, samples: int, **sizes: int) -> Case:
    """A trace kernel of a network of `TODAY`."""
    length = sizes.pop("length", 0)
    shape = (length, 1, 1) if length else (32, 32, 3)
    settings = {"width": 96, "depth": 4} | sizes
    return Case(
        f"trace {name} N {samples}", "trace", network, samples=samples, shape=shape, **settings
    )


CASES = (
    *(_mlp("trace", width, samples) for samples in (200, 1000) for width in (64, 512, 2048)),
    *(_images("trace", "cnn", "CNN 32-64", 32, samples, 10) for samples in (100, 500)),
    *(_images("trace", "myrtle5", "Myrtle-5 c64", 64, samples, 1) for samples in (100, 500)),
    *(_mlp("full", width, samples) for width, samples in ((64, 200), (512, 200), (64, 1000))),
    _images("full", "cnn", "CNN 32-64", 32, 100, 10),
    _today("resnet18", "ResNet-18 c32", 32, width=32),
    _today("vit", "ViT", 100),
    _today("gpt", "GPT", 100, length=32),
    _today("gpt", "GPT K 1000", 16, length=32, width=48, depth=2, outputs=1000),
    _today("skips", "residual K 3", 100, width=32, outputs=3),
    _infinite_mlp(1000),
    _infinite_mlp(4000),
    _infinite_myrtle(8),
    _infinite_myrtle(14),
)
QUICK = tuple(CASES[place] for place in (0, 6, 10, 15, 19))


def chosen(words: str, quick: bool) -> list[Case]:
    """Cases whose name has one of the comma-separated words; quick: few and small ones.

    Raises:
        SystemExit: no case has any of them.
    """
    cases = [case.small() for case in QUICK] if quick else list(CASES)
    wanted = [word.strip().lower() for word in words.split(",") if word.strip()]
    found = [c for c in cases if not wanted or any(word in c.name.lower() for word in wanted)]
    if not found:
        raise SystemExit(f"no case has {words!r} in its name; there are:\n" + _names(cases))
    return found


def _names(cases: list[Case]) -> str:
    return "\n".join(f"  {case.name}" for case in cases)


def inputs(case: Case) -> tuple[Array, Array | None]:
    """Images x1 [N, channel, y, x] and x2 [N2, …], or None for the symmetric kernel.

    Of gpt tokens [N, y].
    """
    random = np.random.RandomState(0)  # its numbers are the same in every version of NumPy
    y, x, channels = case.shape
    if case.network == "gpt":
        return random.randint(0, VOCABULARY, (case.samples, y)), None
    shape = (case.samples + case.others, channels, y, x)
    drawn = random.standard_normal(shape).astype(np.float32)
    return drawn[: case.samples], drawn[case.samples :] if case.others else None


def weights(case: Case) -> list[tuple[Array, Array]]:
    """Each layer's weight [out, in] or [out, in, 3, 3] and bias [out], as torch has them."""
    random = np.random.RandomState(1)
    drawn = []
    for shape in weight_shapes(case):
        scale = math.sqrt(2 / math.prod(shape[1:]))
        weight = random.standard_normal(shape) * scale
        bias = random.standard_normal(shape[0]) * 0.1
        drawn.append((weight.astype(np.float32), bias.astype(np.float32)))
    return drawn


def weight_shapes(case: Case) -> list[tuple[int, ...]]:
    """The weights' shapes, from the first layer to the readout."""
    y, x, channels = case.shape
    W, K = case.width, case.outputs
    if case.network == "mlp":
        hidden = [W] * case.depth
        return list(zip([*hidden, K], [y * x * channels, *hidden], strict=True))
    if case.network == "cnn":
        readout = (K, 2 * W * (y // 4) * (x // 4))
        return [(W, channels, 3, 3), (2 * W, W, 3, 3), readout]
    return [(W, channels, 3, 3), *[(W, W, 3, 3)] * (sum(MYRTLE5_BLOCKS) - 1), (K, W)]


def compared(case: Case, most: int = 100) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns whose entries are compared between peers, spread over all samples.

    Not the diagonal for infinite width: neural-tangents errs by up to 6e-4 there in float32, where
    the arc cosine of a rounded 1 loses half of the digits.
    """
    rows, columns = (np.linspace(0, n - 1, min(n, most)).astype(int) for n in _sides(case))
    if case.group == "infinite" and not case.others:
        return rows[::2], columns[1::2]
    return rows, columns


def _sides(case: Case) -> tuple[int, int]:
    return case.samples, case.others or case.samples
