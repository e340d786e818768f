"""What a layer's Gram matrix costs: multiply-adds of matrix products, and elements passed over."""

from __future__ import annotations

from dataclasses import dataclass

from ntkscope.ntk.kinds import OutputPairs


@dataclass(frozen=True)
class Cost:
    """An amount of arithmetic.

    Attributes:
        multiply_adds: in matrix products.
        elements: read or written one by one, products' results among them.
    """

    multiply_adds: float = 0.0
    elements: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.multiply_adds + other.multiply_adds, self.elements + other.elements)

    @property
    def flops(self) -> float:
        """Floating-point operations: two a multiply-add."""
        return 2 * self.multiply_adds + self.elements


def product_cost(results: float, depth: float) -> Cost:
    """A matrix product of so many elements, each a sum of `depth` products."""
    return Cost(results * depth, results)


@dataclass(frozen=True)
class LayerShape:
    """The shape on which a layer's cost depends.

    Attributes:
        groups, positions, outputs, width: of its outer products (`factors.FactoredGradients`).
        output_vectors: R.
        image: pixels and channels of what a convolution looks at, if it is one.
        kernel: height + width of its kernel.
        samples: of how many the gradients are made.
        sample_pairs: of how many pairs of samples the kernel is wanted.
        pairs: of which output vectors.
        one_hot: its inputs are one-hot: numbers of rows, which are compared and not multiplied.
        collapsed: one cotangent stands for all in the Gram matrices (`cotangent`).
    """

    groups: int
    positions: int
    output_vectors: int
    outputs: int
    width: int
    image: tuple[int, int] | None
    kernel: int
    samples: int
    sample_pairs: float
    pairs: OutputPairs
    collapsed: bool = False
    one_hot: bool = False

    @property
    def depth(self) -> int:
        """Of the inner products of inputs."""
        return 1 if self.one_hot else self.width

    @property
    def multiplied(self) -> int:
        """Output vectors of which Gram matrices are made."""
        return 1 if self.collapsed else self.output_vectors

    @property
    def dots(self) -> int:
        """Pairs of output vectors that are multiplied, of one pair of samples."""
        return self.multiplied ** (2 if self.pairs == "full" else 1)

    @property
    def results(self) -> int:
        """Elements of the kernel for one pair of samples."""
        return 1 if self.pairs == "trace" else self.dots


def passes_cost(shape: LayerShape) -> Cost:
    """A layer's share of the passes: forward once, and backward once per output vector."""
    rows = shape.samples * shape.groups * shape.positions * shape.outputs
    return product_cost(rows * (1 + shape.output_vectors), shape.depth)


@dataclass(frozen=True)
class Throughput:
    """How fast a device is: multiply-adds and elements per second."""

    multiply_adds: float
    elements: float

    def seconds(self, cost: Cost) -> float:
        """Expected time."""
        return cost.multiply_adds / self.multiply_adds + cost.elements / self.elements


REFERENCE_THROUGHPUT = Throughput(multiply_adds=5e10, elements=2e9)
"""Of no device in particular: choices made by it are the same in every process."""
