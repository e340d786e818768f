"""Builds the steps of a network between kernels, and refuses those whose limit is not known."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ntkscope.models import Dense
from ntkscope.ntk.infinite.dual_activations import numeric_dual
from ntkscope.ntk.infinite.graph.signal import INPUT, Atom, Elementwise, Signal, dependence
from ntkscope.ntk.infinite.graph.steps import (
    Activate,
    Add,
    Affine,
    Attend,
    Flatten,
    Move,
    Normalise,
    Step,
)
from ntkscope.ntk.infinite.graph.window import Window
from ntkscope.ntk.infinite.refusal import refused


class Builder:
    """Steps so far, and the layers with weights that they have.

    Args:
        shape: of a sample.
        channel: which of its axes is that of the channels.
    """

    def __init__(self, shape: tuple[int, ...], channel: int, device: torch.device) -> None:
        atom = Atom(frozenset({INPUT}), gaussian=False, centred=False)
        self.inputs = Signal(INPUT, shape, channel, {INPUT: atom}, {INPUT: 1.0})
        self.device = device
        self.steps: list[Step] = []
        self.read: list[tuple[int, ...]] = []
        self.layers: list[Dense] = []
        self.positions = math.prod(self.inputs.positions)
        self.where = ""
        self._computed: dict[Elementwise, Signal] = {}

    def affine(
        self, x: Signal, layer: Dense, shape: tuple[int, ...], window: Window | None = None
    ) -> Signal:
        """A layer with weights; its outputs are independent of all there is."""
        step = self._add(Affine(len(self.layers), window), x)
        self.layers.append(layer)
        atom = Atom(frozenset({step}), gaussian=True, centred=True)
        return self._signal(step, shape, x.channel, atom)

    def normalise(self, x: Signal, step: Normalise, *, centres: bool) -> Signal:
        """Division by what does not depend on the channel."""
        if INPUT in x.roots or (centres and not x.gaussian):
            raise self.refused(
                "it normalises what is not Gaussian in the limit",
                "put it behind a layer with weights, before the activation",
            )
        atom = _like(x)
        return self._signal(self._add(step, x), x.shape, x.channel, atom)

    def attend(self, values: Signal, keys: Signal) -> Signal:
        """Positions of the values, mixed."""
        atom = Atom(values.roots, gaussian=True, centred=True)
        return self._signal(self._add(Attend(), values, keys), values.shape, values.channel, atom)

    def move(self, x: Signal, matrix: Tensor, shape: tuple[int, ...], channel: int) -> Signal:
        """Every channel by one matrix [P', P] over positions."""
        eye = matrix.shape[0] == matrix.shape[1] and bool((matrix == torch.eye(len(matrix))).all())
        if eye:
            return replace(x, shape=shape, channel=channel)
        sparse = matrix.to(self.device).to_sparse()
        atom = _like(x)
        return self._signal(self._add(Move(sparse), x), shape, channel, atom)

    def flatten(self, x: Signal, size: int) -> Signal:
        """[channels · positions]; of several positions no longer alike."""
        step = self._add(Flatten(), x)
        atom = replace(_like(x), gaussian=False)
        return self._signal(step, (size,), 0, atom)

    def add(self, one: Signal, other: Signal, factor: float) -> Signal:
        """Sum of one and factor · other.

        Raises:
            ModelError: they are correlated, or of other shapes.
        """
        if (one.shape, one.channel) != (other.shape, other.channel):
            raise self.refused(
                f"{one.shape} is added to {other.shape}",
                "let both have one shape; broadcasting is not known",
            )
        self._check_independent(one, other)
        weights = dict(one.weights)
        for k, v in other.weights.items():
            weights[k] = weights.get(k, 0.0) + factor * v
        if len(weights) == len(one.weights) + len(other.weights):
            step = self._number(Add((1.0, factor)), (one.step, other.step))
        else:
            step = self._number(Add(tuple(weights.values())), tuple(weights))
        return Signal(step, one.shape, one.channel, {**one.atoms, **other.atoms}, weights)

    def _check_independent(self, one: Signal, other: Signal) -> None:
        pairs = [(a, b) for s, a in one.atoms.items() for t, b in other.atoms.items() if s != t]
        for why in (dependence(*pair) for pair in pairs):
            if why is not None:
                remedy = "let each branch but one end in a linear layer or convolution of its own"
                raise self.refused(f"a sum whose kernels do not add: {why}", remedy)

    def computed(self, x: Signal | Elementwise) -> Signal:
        """A signal; of an elementwise function, its step is added.

        Raises:
            ModelError: the function acts on what is not Gaussian, or has no dual.
        """
        if isinstance(x, Signal):
            return x
        if x not in self._computed:
            self._computed[x] = self._compute(x)
        return self._computed[x]

    def _compute(self, x: Elementwise) -> Signal:
        if x.phi is None:
            return x.of if x.gain == 1 else x.of.scaled(self._add(Add((x.gain,)), x.of), x.gain)
        if not x.of.gaussian:
            raise self.refused(
                f"{x.phi.name} acts on what is not Gaussian in the limit: no layer with weights "
                "stands between it and the inputs, or the activation or Flatten before",
                "put a linear layer or a convolution before each activation, and Flatten after it",
            )
        step = self._add(Activate(x.dual or numeric_dual(x.phi), x.gain), x.of)
        atom = Atom(x.of.roots, gaussian=False, centred=False)
        return self._signal(step, x.of.shape, x.of.channel, atom)

    def tried(self, call: Callable[[Tensor], Any]) -> Callable[[Tensor], Any]:
        """The call, whose own errors are reported under its name."""

        def attempt(x: Tensor) -> Any:
            try:
                return call(x)
            except (RuntimeError, TypeError, IndexError, ValueError) as error:
                remedy = "mend it, or give inputs of the size that the network was made for"
                raise self.refused(f"it fails: {error}", remedy) from error

        return attempt

    def refused(self, why: str, remedy: str) -> Exception:
        """The error about the call that is being translated."""
        return refused(self.where, why, remedy)

    def _signal(self, step: int, shape: tuple[int, ...], channel: int, atom: Atom) -> Signal:
        found = Signal(step, shape, channel, {step: atom}, {step: 1.0})
        self.positions = max(self.positions, math.prod(found.positions))
        return found

    def _add(self, step: Step, *of: Signal) -> int:
        return self._number(step, tuple(x.step for x in of))

    def _number(self, step: Step, of: tuple[int, ...]) -> int:
        self.steps.append(step)
        self.read.append(of)
        return len(self.steps)


def _like(x: Signal) -> Atom:
    """One that mixes positions of a signal."""
    centred = all(atom.centred for atom in x.atoms.values())
    return Atom(x.roots, gaussian=x.gaussian, centred=centred)
