"""What flows between layers, as far as the limit needs it: what it is made of, and independent of.

A signal is a sum of atoms. The outputs of a layer with weights are one: Gaussian, centred, and
independent of everything that is not made of them position by position, since no two layers share
weights. Whatever else acts on a signal makes an atom that depends on the same layers' outputs, its
roots. Kernels of a sum add where the atoms' roots are apart and at most one of each two atoms has a
mean; ∂/∂θ of one and of the other are then orthogonal as well, for a product of both contains two
independent matrices, or one matrix's diagonal only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from ntkscope.ntk.infinite.dual_activations import Dual
from ntkscope.ntk.infinite.nonlinearity import Nonlinearity

INPUT = 0
"""The step of the inputs."""


@dataclass(frozen=True)
class Atom:
    """What a step that is no sum gives.

    Attributes:
        roots: steps of layers with weights, or of the inputs, that it is made of.
        gaussian: whether every channel is a centred Gaussian, all alike.
        centred: whether every channel has mean 0.
        because: why it is not Gaussian, and what to do, if that is not plain.
    """

    roots: frozenset[int]
    gaussian: bool
    centred: bool
    because: tuple[str, str] | None = None


@dataclass(frozen=True)
class Signal:
    """The outputs of a step.

    Attributes:
        step: its number.
        shape: of a sample.
        channel: which of the shape's axes grows to infinity; the others are positions.
        atoms: step → what it is, of all that are summed.
        weights: step → factor in the sum.
    """

    step: int
    shape: tuple[int, ...]
    channel: int
    atoms: Mapping[int, Atom]
    weights: Mapping[int, float]

    @property
    def positions(self) -> tuple[int, ...]:
        """The shape without channels."""
        return self.shape[: self.channel] + self.shape[self.channel + 1 :]

    @property
    def gaussian(self) -> bool:
        """Whether every channel is a centred Gaussian, all alike."""
        return all(atom.gaussian for atom in self.atoms.values())

    @property
    def centred(self) -> bool:
        """Whether every channel has mean 0."""
        return all(atom.centred for atom in self.atoms.values())

    @property
    def roots(self) -> frozenset[int]:
        """Of all its atoms."""
        return frozenset().union(*(atom.roots for atom in self.atoms.values()))

    def scaled(self, step: int, factor: float) -> Signal:
        """`factor` times the signal."""
        return replace(self, step=step, weights={s: factor * w for s, w in self.weights.items()})


@dataclass(frozen=True, eq=False)
class Elementwise:
    """`gain` · φ(signal), not computed yet: what is composed of one signal stays one function.

    Attributes:
        of: the signal.
        phi: φ; None: the identity.
        gain: a factor.
        dual: φ's closed form, if it has one.
    """

    of: Signal
    phi: Nonlinearity | None = None
    gain: float = 1.0
    dual: Dual | None = None

    def values(self, z: Tensor) -> Tensor:
        """Gain · φ(z)."""
        return self.gain * (z if self.phi is None else self.phi.value(z))

    @property
    def name(self) -> str:
        """Of the function, for messages."""
        return "x" if self.phi is None else self.phi.name

    @property
    def kinks(self) -> tuple[float, ...]:
        """Of the function."""
        return () if self.phi is None else self.phi.kinks


def dependence(one: Atom, other: Atom) -> str | None:
    """Why the kernels of two atoms do not add; None where they do."""
    if INPUT in one.roots | other.roots:
        return (
            "the inputs themselves are in it, whose number of channels cannot grow with the "
            "width of what is added"
        )
    if one.roots & other.roots:
        return "the branches are functions of the same random layer, and correlated"
    if not (one.centred or other.centred):
        return "both branches have a mean, whose product is not in their kernels"
    return None
