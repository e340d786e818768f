"""torch.func, as in its tutorial "Neural Tangent Kernels": contracted Jacobians, or NTK products.

Its kernels are sums over outputs; they are divided by their number. Where x2 is x1, the tutorial's
second Jacobian is the first: it is not computed again. Products are taken row by row, since all at
once they need the memory of N² gradients.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call, jacrev, jvp, vjp, vmap

from benchmarks.cases import TODAY, Case
from benchmarks.peers.networks import network_of, tensors, torch_version

Parameters = dict[str, Tensor]
Function = Callable[[Parameters, Tensor], Tensor]


def version() -> str:
    """Of torch."""
    return torch_version()


def prepare(case: Case, variant: str) -> tuple[Callable[[], Tensor], Callable[..., NDArray[Any]]]:
    """`variant`: jacobian or products."""
    network = network_of(case)
    parameters = {name: value.detach() for name, value in network.named_parameters()}

    def one(parameters: Parameters, x: Tensor) -> Tensor:
        return functional_call(network, parameters, (x.unsqueeze(0),)).squeeze(0)

    x = tensors(case)[0]
    if case.network in TODAY:
        chunk = _best_chunk(one, parameters, x)
        return lambda: by_jacobian(one, parameters, x, case.group, chunk), pick
    way = {"jacobian": by_jacobian, "products": by_products}[variant]
    return lambda: way(one, parameters, x, case.group), pick


def _best_chunk(one: Function, parameters: Parameters, x: Tensor) -> int:
    """How many samples at once are fastest, tried on some of them."""

    def seconds(chunk: int) -> float:
        began = time.perf_counter()
        vmap(jacrev(one), (None, 0), chunk_size=chunk)(parameters, x[:16])
        return time.perf_counter() - began

    return min((4, 8, 16), key=lambda chunk: min(seconds(chunk) for _ in range(2)))


def by_jacobian(
    one: Function, parameters: Parameters, x: Tensor, kind: str, chunk: int | None = None
) -> Tensor:
    """[N, N] or [N, N, K, K] from the whole Jacobian; `chunk` samples of it at once."""
    jacobian = vmap(jacrev(one), (None, 0), chunk_size=chunk)(parameters, x)
    blocks = [each.flatten(2) for each in jacobian.values()]
    equation = "Naf,Maf->NM" if kind == "trace" else "Naf,Mbf->NMab"
    total = sum(torch.einsum(equation, block, block) for block in blocks)
    assert isinstance(total, Tensor)
    return total / blocks[0].shape[1] if kind == "trace" else total


def by_products(one: Function, parameters: Parameters, x: Tensor, kind: str) -> Tensor:
    """[N, N] or [N, N, K, K]: a VJP, then a JVP, for every pair of samples and output."""

    def pair(x1: Tensor, x2: Tensor) -> Tensor:
        output, back = vjp(lambda p: one(p, x1), parameters)

        def column(unit: Tensor) -> Tensor:
            return jvp(lambda p: one(p, x2), (parameters,), back(unit))[1]

        return vmap(column)(torch.eye(len(output)))

    full = vmap(vmap(pair, (None, 0)), (0, None), chunk_size=1)(x, x)
    return full.diagonal(dim1=-2, dim2=-1).mean(-1) if kind == "trace" else full


def pick(kernel: Tensor, rows: NDArray[Any], columns: NDArray[Any]) -> NDArray[Any]:
    """Some samples of [N, N] or [N, N, K, K]."""
    found = kernel[rows][:, columns]
    return found.numpy() if kernel.ndim == 2 else found.transpose(1, 2).numpy()
