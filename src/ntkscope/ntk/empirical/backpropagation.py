"""The two ways to a model's output gradients, behind one protocol.

`Recorded` serves any module: hooks note each layer's input, autograd goes back to its output.
`Sequential` serves known layers one after another: a formula for each, for all outputs together.
The planner chooses one (`planner`), and verifies it on samples (`verification`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ntkscope.ntk.empirical.gradients.fast_ops import OWN_DERIVATIVES, FasterBackward
from ntkscope.ntk.empirical.gradients.graph import look_at_graph
from ntkscope.ntk.empirical.gradients.hooks import Call, Layout, backpropagate, record
from ntkscope.ntk.empirical.gradients.hooks import Recorded as RecordedCall
from ntkscope.ntk.empirical.gradients.own_rows import RearrangedError, check_own_rows
from ntkscope.ntk.empirical.gradients.uses import UnknownUseError, Uses
from ntkscope.ntk.empirical.inputs import tensors_of
from ntkscope.ntk.empirical.sequential.backward import sequential_passes
from ntkscope.ntk.empirical.sequential.recognise import (
    known_layers,
    sequential_layers,
    starts_in_place,
)
from ntkscope.ntk.empirical.tuning import TUNING, Tuning

Gradients = tuple[Sequence[Call], Sequence[Tensor | None]]


class Backpropagation(Protocol):
    """A way from samples to the output gradients of some layers.

    Attributes:
        runs_model: the model's own code runs, which may change its buffers and torch's RNG.
        collapses_outputs: just below the readout, a trace NTK's output gradients come as one.
        captures: parameters are captured where they are used, which one sample does not show.
    """

    @property
    def runs_model(self) -> bool: ...  # noqa: D102

    @property
    def collapses_outputs(self) -> bool: ...  # noqa: D102

    @property
    def captures(self) -> bool: ...  # noqa: D102

    def output_gradients(
        self, x: Tensor, output_vectors: Tensor, modules: list[nn.Module], *, trace: bool
    ) -> Gradients:
        """The calls of some modules, and ∂⟨v_r, f(x_n)⟩/∂(output) of each.

        Args:
            x: samples [n, …].
            output_vectors: v [R, K].
            modules: whose calls are wanted.
            trace: only sums over output vectors of Gram matrices are wanted.

        Returns:
            Calls, and gradients [B, R, …]; [1, R, K] at the readout; None without effect.
        """

    def holding(self) -> Backpropagation:
        """The same for parts of the outputs of the same samples, one after the other."""

    def serves(self, model: nn.Module) -> bool:
        """Whether it still is a way through the model, whose modules may have changed."""

    def moved(self, model: nn.Module) -> Backpropagation:
        """The same way through a copy of the model."""


@dataclass(frozen=True)
class Recorded:
    """By autograd, from a recorded forward pass.

    Attributes:
        held: forward passes that further outputs go back through, by their samples' memory; None:
            they are not held.
        used: names of parameters whose uses are recorded (`uses`), beside the calls of modules.
        uses: what they are, in order, as the first pass has found them.
    """

    model: nn.Module
    tuning: Tuning = TUNING
    used: frozenset[str] = frozenset()
    uses: list[tuple[str, Layout]] = field(default_factory=list)
    held: dict[Any, tuple[Tensor, Tensor, list[RecordedCall], bool]] | None = None
    runs_model: bool = True
    collapses_outputs: bool = False

    @property
    def captures(self) -> bool:
        """As of `Backpropagation`."""
        return bool(self.used)

    def output_gradients(
        self, x: Tensor, output_vectors: Tensor, modules: list[nn.Module], *, trace: bool
    ) -> Gradients:
        """As of `Backpropagation`.

        Raises:
            UnknownUseError: of a parameter in `used`; or uses are others than in the first pass.
            UsedElsewhereError: of a parameter that is not in `used`.
            RearrangedError: rows of the pass are not those of their own samples.
        """
        _, y, calls, is_row_wise = self._forward(x, modules)
        found = backpropagate(y, calls, output_vectors, self.tuning.batched_elements)
        if not y.requires_grad:
            return calls, found
        is_known = look_at_graph(y, calls, found, OWN_DERIVATIVES)
        if not (is_row_wise and is_known):
            check_own_rows(y, calls, output_vectors, found)
        return calls, found

    def _forward(
        self, x: Tensor, modules: list[nn.Module]
    ) -> tuple[Tensor, Tensor, list[RecordedCall], bool]:
        """The samples, whose memory so stays theirs, outputs, calls, and if surely row-wise."""
        place = tuple((t.data_ptr(), t.shape, t.stride()) for t in tensors_of(x))
        if self.held is not None and place in self.held:
            return self.held[place]
        own = x.clone()
        if not self.used:
            with FasterBackward(len(tensors_of(own)[0])) as mode:
                y, calls = record(self.model, own, modules)
        else:
            layouts = [layout for _, layout in self.uses]
            mode = Uses(self.model, self.used, tensors_of(own), layouts)
            with mode:
                y, calls = record(self.model, own, modules, mode.calls)
            self._compare(mode.uses())
        for call in calls:
            call.inputs = call.inputs.detach()
        if mode.is_cut and not mode.is_row_wise:
            raise RearrangedError("values may have been put in another order without a graph")
        found = (x, y, calls, mode.is_row_wise and not _is_scripted(self.model))
        if self.held is not None:
            self.held[place] = found
        return found

    def holding(self) -> Recorded:
        """As of `Backpropagation`."""
        return replace(self, held={})

    def _compare(self, uses: list[tuple[str, Layout]]) -> None:
        if not self.uses:
            self.uses.extend(uses)
        elif uses != self.uses:
            raise UnknownUseError(self.used)

    def serves(self, model: nn.Module) -> bool:
        """Any model does; what its plan knows of its layers is checked by its results only."""
        return True

    def moved(self, model: nn.Module) -> Recorded:
        """As of `Backpropagation`."""
        return replace(self, model=model)


@dataclass(frozen=True)
class Sequential:
    """By formulas, layer by layer."""

    layers: list[nn.Module]
    tuning: Tuning = TUNING
    runs_model: bool = False
    collapses_outputs: bool = True
    captures: bool = False

    @classmethod
    def of(cls, model: nn.Module, probe: Tensor, tuning: Tuning = TUNING) -> Sequential | None:
        """The way through a model of known layers one after another; None for any other."""
        layers = sequential_layers(model, probe)
        return None if layers is None else cls(layers, tuning)

    @torch.no_grad()
    def output_gradients(
        self, x: Tensor, output_vectors: Tensor, modules: list[nn.Module], *, trace: bool
    ) -> Gradients:
        """As of `Backpropagation`; [n, 1, …] where one gradient has the trace of all."""
        wanted = {id(module) for module in modules}
        if starts_in_place(self.layers):
            x = x.clone()
        return sequential_passes(
            self.layers, x, output_vectors, wanted, collapse=trace, tuning=self.tuning
        )

    def holding(self) -> Sequential:
        """As of `Backpropagation`; nothing is held."""
        return self

    def serves(self, model: nn.Module) -> bool:
        """Whether the model's layers and hooks are those it was made of."""
        return self.layers == known_layers(model)

    def moved(self, model: nn.Module) -> Sequential:
        """As of `Backpropagation`."""
        layers = known_layers(model)
        assert layers is not None
        return Sequential(layers, self.tuning)


def _is_scripted(model: nn.Module) -> bool:
    """Whether operations of a part of it are not seen."""
    return any(isinstance(module, torch.jit.ScriptModule) for module in model.modules())
