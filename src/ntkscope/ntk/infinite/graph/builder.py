"""Builds the steps of a network between kernels, and refuses those whose limit is not known."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
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

_DEPTHWISE = (
    "the outputs of a depthwise convolution: each is one channel times a few weights, and no "
    "Gaussian however many channels there are",
    "put a pointwise convolution or a linear layer between them, or use fewer groups",
)
_JOINED = (
    "channels of several branches together, which have kernels of their own",
    "put a layer with weights between them",
)


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
        self._parts: dict[int, list[Signal]] = {}

    def affine(
        self,
        x: Signal,
        layer: Dense,
        shape: tuple[int, ...],
        window: Window | None = None,
        depthwise: bool = False,
    ) -> Signal:
        """A layer with weights; its outputs are independent of all there is, or uncorrelated."""
        step = self._add(Affine(len(self.layers), window), x)
        self.layers.append(layer)
        atom = Atom(frozenset({step}), not depthwise, True, _DEPTHWISE if depthwise else None)
        return self._signal(step, shape, x.channel, atom)

    def concatenate(self, each: list[Signal]) -> Signal:
        """Channels of several signals side by side: the mean of their kernels, by their number.

        What acts on each channel alike acts on each signal before.

        Raises:
            ModelError: the inputs are among them, or their positions differ.
        """
        parts = [part for x in each for part in self._parts.get(x.step, [x])]
        if len({(x.positions, x.channel) for x in parts}) > 1:
            shapes = ", ".join(str(x.shape) for x in parts)
            raise self.refused(f"it joins {shapes}", "let them differ in their channels only")
        if any(INPUT in x.roots for x in parts):
            raise self.refused(
                "it joins the inputs, whose channels do not become many, to others that do",
                "put a layer with weights between the inputs and torch.cat",
            )
        counts = [x.shape[x.channel] for x in parts]
        shares = tuple(math.sqrt(n / sum(counts)) for n in counts)
        step = self._number(Add(shares), tuple(x.step for x in parts))
        roots = frozenset().union(*(x.roots for x in parts))
        atom = Atom(roots, gaussian=False, centred=all(x.centred for x in parts), because=_JOINED)
        shape = list(parts[0].shape)
        shape[parts[0].channel] = sum(counts)
        self._parts[step] = parts
        return self._signal(step, tuple(shape), parts[0].channel, atom)

    def alike(self, x: Signal) -> bool:
        """Whether all channels have one law: groups of them are then like the whole."""
        return all(atom.because is not _JOINED for atom in x.atoms.values())

    def _of_each(self, x: Signal, way: Callable[[Signal], Signal]) -> Signal | None:
        """What acts on each channel alike, of all that were joined; None: x was not."""
        parts = self._parts.get(x.step)
        return None if parts is None else self.concatenate([way(part) for part in parts])

    def normalise(self, x: Signal, step: Normalise, *, centres: bool) -> Signal:
        """Division by what does not depend on the channel."""
        if step.fixed:
            way = partial(self.normalise, step=step, centres=centres)
            joined = self._of_each(x, way)
            if joined is not None:
                return joined
        if INPUT in x.roots or (centres and not x.centred):
            raise self.refused(
                "it normalises what is not Gaussian in the limit, and has a mean over channels",
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

        def way(part: Signal) -> Signal:
            own = (*shape[:channel], part.shape[part.channel], *shape[channel + 1 :])
            return self.move(part, matrix, own, channel)

        joined = self._of_each(x, way)
        if joined is not None:
            return joined
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
        joined = self._of_each(x.of, lambda part: self.computed(replace(x, of=part)))
        if joined is not None:
            return joined
        because = [atom.because for atom in x.of.atoms.values() if atom.because]
        if because:
            raise self.refused(f"{x.phi.name} acts on {because[0][0]}", because[0][1])
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
    because = [atom.because for atom in x.atoms.values() if atom.because]
    return Atom(x.roots, x.gaussian, x.centred, because[0] if because else None)
