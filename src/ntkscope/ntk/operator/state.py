"""What an operator is of: everything that its products depend on, and whether it has changed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ntkscope.ntk.empirical.state import preserve_state, renormalised_in, version
from ntkscope.ntk.empirical.structure import Structure, changed, structure
from ntkscope.ntk.tiled.fingerprint import checksum, outputs_of

_Named = dict[str, Tensor]


@dataclass
class State:
    """A model and its inputs at one moment.

    Attributes:
        model, inputs: themselves.
        structure: layers, settings, modes, hooks, parameters' sharing.
        tensors: parameters and buffers by their names.
        buffers: copies of these, as forward may change them for a while.
        versions: of parameters and inputs, by torch's count.
        sums: over their bits.
        outputs: of a few samples.
    """

    model: nn.Module
    inputs: tuple[Tensor, ...]
    structure: Structure
    tensors: _Named
    buffers: _Named
    versions: dict[str, int]
    sums: list[int]
    outputs: list[Tensor]

    @classmethod
    def of(cls, model: nn.Module, *inputs: Tensor) -> State:
        """As they are now."""
        tensors = _tensors(model)
        return cls(
            model,
            inputs,
            structure(model),
            tensors,
            {name: b.detach().clone() for name, b in model.named_buffers()},
            _versions(model, inputs),
            checksum([*model.parameters(), *inputs]),
            _outputs(model, inputs),
        )

    def change(self) -> str | None:
        """What is another now, in words that end before a verb; None if nothing is."""
        what = changed(self.structure, structure(self.model))
        if what is not None:
            return what
        now = _tensors(self.model)
        for name, tensor in self.tensors.items():
            if now.get(name) is not tensor:
                return name
        if set(now) != set(self.tensors):
            return "the set of buffers"
        for name, buffer in self.model.named_buffers():
            if not _equal(buffer, self.buffers[name]):
                return name
        versions = _versions(self.model, self.inputs)
        for name, count in self.versions.items():
            if versions[name] != count:
                return name
        sums = checksum([*self.model.parameters(), *self.inputs])
        for name, old, new in zip(self.versions, self.sums, sums, strict=True):
            if old != new:
                return name
        outputs = _outputs(self.model, self.inputs)
        same = all(map(_same, outputs, self.outputs))
        return None if same else "the outputs of some samples"


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-5, atol=0.0, equal_nan=True)


def _equal(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(((a == b) | (a.isnan() & b.isnan())).all())


def _tensors(model: nn.Module) -> _Named:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _versions(model: nn.Module, inputs: tuple[Tensor, ...]) -> dict[str, int]:
    passing = {id(p) for p in renormalised_in(model)}  # written to by every forward
    found = {n: 0 if id(p) in passing else version(p) for n, p in model.named_parameters()}
    return found | {f"the inputs ({i + 1})": version(x) for i, x in enumerate(inputs)}


def _outputs(model: nn.Module, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    with preserve_state(model):
        return [y.detach() for y in outputs_of(model, inputs)]
