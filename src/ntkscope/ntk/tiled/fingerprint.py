"""What a kernel is of: digests of a model's parameters and of inputs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from ntkscope.ntk.empirical.entries import spread
from ntkscope.ntk.empirical.inputs import tensors_of
from ntkscope.ntk.empirical.structure import text_of

_SAMPLES = 3


def model_digest(model: nn.Module, *samples: Tensor) -> str:
    """16 hex digits of modules, settings, modes, parameters, buffers, of which parameters learn.

    Args:
        model: any.
        samples: whose outputs, one by one, are a part of it: what no list of settings tells.
    """
    named = [*model.named_parameters(), *model.named_buffers()]
    text = f"{text_of(model)} {[name for name, _ in named]}"
    return _digest(text, [*(t for _, t in named), *outputs_of(model, samples)])


@torch.enable_grad()
def outputs_of(model: nn.Module, samples: Sequence[Tensor]) -> list[Tensor]:
    """Of a few samples of each set, by themselves."""
    some = [x[i : i + 1].clone() for x in samples for i in spread(len(x), _SAMPLES, seed=2)]
    return [model(x).detach() for x in some]


def checksum(tensors: Iterable[Tensor]) -> list[int]:
    """A sum over the bits of each: also of what was changed without torch's notice."""
    return [
        sum(int(_bits(part.detach()).sum(dtype=torch.int64)) for part in tensors_of(t))
        for t in tensors
    ]


def _bits(t: Tensor) -> Tensor:
    whole = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    parts = torch.view_as_real(t.resolve_conj()) if t.is_complex() else t
    return parts.contiguous().view(-1).view(whole[parts.element_size()])


def inputs_digest(x: Tensor) -> str:
    """16 hex digits of inputs."""
    tensors = tensors_of(x)
    return _digest(" ".join(getattr(x, "tensors", "")), tensors)


def _digest(text: str, tensors: Iterable[Tensor]) -> str:
    found = hashlib.sha256(text.encode())
    for tensor in tensors:
        found.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        values = tensor.detach().cpu().contiguous().reshape(-1)
        found.update(values.view(torch.uint8).numpy().data)
    return found.hexdigest()[:16]
