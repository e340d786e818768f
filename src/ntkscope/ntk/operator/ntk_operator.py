"""`NTKOperator`: products with the NTK of any torch module, which is never formed.

Θ v = J (Jᵀ v), J = ∂f/∂θ: to the space of the parameters and back, chunk by chunk of the samples.
Known layers by their own formula (`factored_gradients`), all other parameters by torch's function
transforms (`autograd_products`).

What one product with Θ of N samples costs, in multiply-adds, P the number of parameters that act at
one position each (dense layers): 2NP for the full NTK and the pseudo-NTK, 2KNP for the trace NTK,
which is the mean of K kernels; its readout costs no more than one of them, and the layer below a
linear readout neither, where gradients are kept. Where they are not, each product (of any number of
vectors) adds two passes forward and K back. The kernel itself costs N²/2·(D + K·O) for each layer
of D inputs and O outputs, as much as N/4·(1/D + 1/(K·O)) products: where N² elements fit, compute
it (`empirical_ntk`).
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator
from torch import Tensor, nn

from ntkscope.errors import ModelError
from ntkscope.ntk.empirical.planner import make_plan
from ntkscope.ntk.empirical.validation import check_model, in_place_explained, preserve_state
from ntkscope.ntk.kinds import KINDS
from ntkscope.ntk.operator.autograd_jacobian import AutogradPart
from ntkscope.ntk.operator.budget import by_formula, choose, other_parameters
from ntkscope.ntk.operator.known_layers import LayerPart
from ntkscope.ntk.operator.vectors import as_columns

_DTYPES: dict[torch.dtype, type[np.floating[Any]]] = {
    torch.float32: np.float32,
    torch.float64: np.float64,
}


class NTKOperator(LinearOperator):  # type: ignore[misc]
    """The NTK as a SciPy `LinearOperator`; also multiplies torch tensors, on the model's device.

    It is the kernel of the parameters as they are when it is made. If they change later, products
    are refused.

    Args:
        model: maps [N, …] to [N, K], each sample by itself; left as it was found.
        x1: inputs [N, …]; x2: [M, …], or None for x1.
        kind: `trace` (mean over outputs), `full` or `pseudo` (`kinds.KINDS`).
        memory: budget beside the vectors, in bytes or as text ("2GB"); None: a quarter of what is
            free. The products are the same to rounding.
        chunk: samples in one pass, at most.
        float64_sums: in a float32 model, sum over chunks in float64.
        force: for tests: `autograd` uses no layer's formula.

    Attributes:
        shape: (N, M), or (N·K, M·K) with the output index fastest (kind full).
        dtype: NumPy's name of the model's dtype.
        outputs: K of a full NTK, else 1.
        products: how many vectors it was multiplied with.

    Raises:
        ModelError: what `empirical_ntk` refuses, a model in another dtype than float32 or float64,
            or too little memory.
    """

    def __init__(
        self,
        model: nn.Module,
        x1: Tensor,
        x2: Tensor | None = None,
        *,
        kind: str = "trace",
        memory: int | str | None = None,
        chunk: int | None = None,
        float64_sums: bool = False,
        force: str | None = None,
    ) -> None:
        if kind not in KINDS:
            raise ValueError(f"kind = {kind!r}; allowed: {', '.join(KINDS)}")
        if force not in (None, "autograd"):
            raise ValueError(f"force = {force!r}; allowed: autograd")
        check_model(model)
        self.model, self.kind, self.products = model, kind, 0
        self._like = next(p for p in model.parameters() if p.requires_grad).detach()
        columns = x1 if x2 is None else x2
        with preserve_state(model), in_place_explained(model), torch.no_grad():
            plan = make_plan(model, x1, x2, kind, "fallback" if force else None)
            formula = by_formula(model, plan, x1[:2])
            others = other_parameters(plan, formula.layers)
            samples = len(x1) + (0 if x2 is None else len(x2))
            blocking = choose(model, formula, others, x1[:2], samples, memory, chunk)
            sums = torch.float64 if float64_sums else self._like.dtype
            layers = LayerPart(model, formula, x1, columns, blocking.chunk, sums)
            if blocking.hold:
                layers.hold()
            elif plan.full:  # one pass for each vector is cheaper than K passes each time
                layers.plan, others = replace(formula, layers=[]), other_parameters(plan, [])
        others_part = AutogradPart(
            model, others, plan.output_vectors, plan.full, x1, columns, blocking.chunk, sums
        )
        self._parts: list[LayerPart | AutogradPart] = [
            *([layers] if layers.plan.layers else []),
            *([others_part] if others else []),
        ]
        self._vectors, self._output_vectors = blocking.vectors, len(plan.output_vectors)
        self.outputs = self._output_vectors if plan.full else 1
        self._watched = [(t, t._version) for t in (*model.parameters(), x1, columns)]
        super().__init__(
            _numpy_dtype(self._like), (len(x1) * self.outputs, len(columns) * self.outputs)
        )

    def product(self, vectors: Tensor | NDArray[Any]) -> Tensor:
        """Θ V, a tensor of the model's dtype on its device.

        Args:
            vectors: [M] or [M, p], any real dtype; [M·K] or [M·K, p] of a full NTK.

        Returns:
            [N] or [N, p] (N·K).

        Raises:
            VectorError: vectors of another shape, complex, or not finite.
            ModelError: the model was changed since, or the product is not finite.
        """
        columns = as_columns(vectors, self.shape[1], self._like)
        self._refuse_changes()
        with preserve_state(self.model), in_place_explained(self.model), torch.no_grad():
            found = torch.cat([self._block(c) for c in columns.split(self._vectors, 1)], 1)
        self.products += columns.shape[1]
        if not bool(found.isfinite().all()):
            raise ModelError(
                "a product with the kernel is not finite",
                where=type(self.model).__name__,
                remedy="look for NaN or overflow in its parameters and inputs",
            )
        return found if vectors.ndim == 2 else found.squeeze(1)

    def _block(self, columns: Tensor) -> Tensor:
        """[M, p] to [N, p]."""
        vectors = columns.T
        if self.kind == "full":
            vectors = vectors.unflatten(1, (-1, self.outputs))
        found = self._parts[0].product(vectors)
        for part in self._parts[1:]:
            found += part.product(vectors)
        if self.kind == "trace":
            found /= self._output_vectors
        return found.flatten(1).T

    def _refuse_changes(self) -> None:
        check_model(self.model)
        if any(t._version != version for t, version in self._watched):
            raise ModelError(
                "parameters or inputs were changed since the operator was made",
                where=type(self.model).__name__,
                remedy="make a new NTKOperator",
            )

    def __matmul__(self, other: Any) -> Any:
        return self.product(other) if isinstance(other, Tensor) else super().__matmul__(other)

    def _matvec(self, x: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(self.product(x.reshape(-1)).cpu().numpy())

    def _matmat(self, X: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(self.product(X).cpu().numpy())

    def _adjoint(self) -> NTKOperator:
        if all(part.rows is part.columns for part in self._parts):
            return self
        other = copy.copy(self)
        other.shape = (self.shape[1], self.shape[0])
        other._parts = [part.swapped() for part in self._parts]
        return other

    _transpose = _adjoint


def _numpy_dtype(like: Tensor) -> np.dtype[Any]:
    if like.dtype not in _DTYPES:
        raise ModelError(
            f"the model's parameters are {like.dtype}",
            where="model",
            remedy="compute in float32 or float64: model.float()",
        )
    return np.dtype(_DTYPES[like.dtype])
