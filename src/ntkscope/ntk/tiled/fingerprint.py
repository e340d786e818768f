"""What a kernel is of: digests of a model's parameters and of inputs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ntkscope.ntk.empirical.inputs import tensors_of


def model_digest(model: nn.Module) -> str:
    """16 hex digits of modules, modes, parameters, buffers, and of which parameters learn."""
    modules = [(n, type(m).__qualname__, m.training) for n, m in model.named_modules()]
    learns = [name for name, p in model.named_parameters() if p.requires_grad]
    named = [*model.named_parameters(), *model.named_buffers()]
    return _digest(f"{modules} {learns} {[name for name, _ in named]}", (t for _, t in named))


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
