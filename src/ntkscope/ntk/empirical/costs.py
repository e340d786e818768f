"""What a layer's Gram matrix costs: multiply-adds of matrix products, and numbers passed over."""

from __future__ import annotations

from dataclasses import dataclass

from ntkscope.ntk.kinds import Pairs


@dataclass(frozen=True)
class Work:
    """An amount of arithmetic.

    Attributes:
        multiply_adds: in matrix products.
        elements: numbers that are read or written one by one, products' results among them.
    """

    multiply_adds: float = 0.0
    elements: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(self.multiply_adds + other.multiply_adds, self.elements + other.elements)

    @property
    def flops(self) -> float:
        """Floating-point operations: two a multiply-add."""
        return 2 * self.multiply_adds + self.elements


def of_product(results: float, depth: float) -> Work:
    """A matrix product of so many numbers, each a sum of `depth` products."""
    return Work(results * depth, results)


@dataclass(frozen=True)
class Sizes:
    """The sizes on which a layer's cost depends.

    Attributes:
        groups, positions, outputs, width: of its outer products (`factors.OuterProducts`).
        cotangents: R.
        image: pixels and channels of what a convolution looks at, if it is one.
        kernel: height + width of its kernel.
        samples: from how many samples terms are made.
        sample_pairs: of how many pairs of samples the kernel is wanted.
        pairs: of which cotangents.
        single: one cotangent stands for all in the Gram matrices (`cotangent`).
    """

    groups: int
    positions: int
    cotangents: int
    outputs: int
    width: int
    image: tuple[int, int] | None
    kernel: int
    samples: int
    sample_pairs: float
    pairs: Pairs
    single: bool = False

    @property
    def multiplied(self) -> int:
        """Cotangents of which Gram matrices are made."""
        return 1 if self.single else self.cotangents

    @property
    def dots(self) -> int:
        """Pairs of cotangents that are multiplied, of one pair of samples."""
        return self.multiplied ** (2 if self.pairs == "every" else 1)

    @property
    def results(self) -> int:
        """Numbers in the kernel for one pair of samples."""
        return 1 if self.pairs == "summed" else self.dots


def passes_work(sizes: Sizes) -> Work:
    """A layer's share of the passes: once there, and once back a cotangent."""
    rows = sizes.samples * sizes.groups * sizes.positions * sizes.outputs
    return of_product(rows * (1 + sizes.cotangents), sizes.width)


@dataclass(frozen=True)
class Rates:
    """How fast a device is: multiply-adds and elements a second."""

    multiply_adds: float
    elements: float

    def seconds(self, work: Work) -> float:
        """Expected time."""
        return work.multiply_adds / self.multiply_adds + work.elements / self.elements


NOMINAL = Rates(multiply_adds=5e10, elements=2e9)
"""Of no device in particular: choices made by it are the same in every process."""
