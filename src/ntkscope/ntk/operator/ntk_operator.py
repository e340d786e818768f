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
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator
from torch import Tensor, nn

from ntkscope.errors import ModelError
from ntkscope.ntk.empirical.arguments import (
    check_choice,
    check_count,
    check_samples,
    refuse_no_samples,
)
from ntkscope.ntk.empirical.engine import compute_kernels
from ntkscope.ntk.empirical.entries import check_column, check_entries, some_outputs
from ntkscope.ntk.empirical.face import Chosen, Output, in_any_form, learning_only
from ntkscope.ntk.empirical.inputs import Samples, as_one
from ntkscope.ntk.empirical.last_resort import is_of_the_way
from ntkscope.ntk.empirical.outputs import failures_explained
from ntkscope.ntk.empirical.planner import make_plan
from ntkscope.ntk.empirical.state import own, preserve_state
from ntkscope.ntk.empirical.validation import check_model, refuse_nan_inputs
from ntkscope.ntk.kinds import KINDS
from ntkscope.ntk.operator.parts import (
    Part,
    Request,
    fast_parts,
    slow_parts,
)
from ntkscope.ntk.operator.state import State
from ntkscope.ntk.operator.vectors import VectorError, as_columns

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
        x1: inputs [N, …], or a tuple or mapping of such tensors; x2: [M, …], or None for x1.
        kind: `trace` (mean over outputs), `full` or `pseudo` (`kinds.KINDS`).
        memory: budget beside the vectors, in bytes or as text ("2GB"); None: a quarter of what is
            free. The products are the same to rounding.
        chunk: samples in one pass, at most.
        float64_sums: in a float32 model, sum over chunks in float64.
        force: for tests: `autograd` uses no layer's formula.
        verify: some `entries` are compared with brute force before the first product, which takes
            a product more (of kind full, with two vectors), and of the first diagonal; or nothing
            (`off`).
        output, parameters: as of `empirical_ntk`.

    Attributes:
        shape: (N, M), or (N·K, M·K) with the output index fastest (kind full).
        dtype: NumPy's name of the model's dtype.
        outputs: K of a full NTK, else 1.
        products: how many vectors it was multiplied with.

    Raises:
        ModelError: what `empirical_ntk` refuses, a model in another dtype than float32 or float64,
            or too little memory.

    Example:
        >>> import torch, ntkscope
        >>> _ = torch.manual_seed(0)
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(),
        ...                             torch.nn.Linear(16, 3)).double()
        >>> x = torch.randn(50, 4).double()
        >>> operator = ntkscope.NTKOperator(model, x)  # the kernel is never formed
        >>> operator.shape
        (50, 50)
        >>> v = torch.ones(50, 1).double()
        >>> torch.allclose(operator @ v, ntkscope.empirical_ntk(model, x) @ v)
        True
    """

    @in_any_form
    def __init__(
        self,
        model: nn.Module,
        x1: Samples,
        x2: Samples | None = None,
        *,
        kind: str = "trace",
        memory: int | str | None = None,
        chunk: int | None = None,
        float64_sums: bool = False,
        force: str | None = None,
        verify: str = "entries",
        output: Output = None,
        parameters: Chosen = None,
    ) -> None:
        x1, x2 = as_one(x1), None if x2 is None else as_one(x2)
        check_choice("kind", kind, KINDS)
        if force is not None:
            check_choice("force", force, ("autograd",))
        check_choice("verify", verify, ("off", "entries"))
        check_count("chunk", chunk)
        check_samples(x1, x2)
        check_model(model)
        self._unverified = set() if verify == "off" else {"products", "diagonal"}
        self.model, self.kind, self.products, self._slow = model, kind, 0, False
        self._learns = [name for name, p in model.named_parameters() if p.requires_grad]
        refuse_no_samples(x1, x2)
        columns = x1 if x2 is None else x2
        explained = failures_explained(model, x1, x2)
        with preserve_state(model), explained, torch.no_grad():
            refuse_nan_inputs(model, x1, x2)
            columns = own(columns) if x2 is not None else own(x1)
            x1, x2 = (columns, None) if x2 is None else (own(x1), columns)
            self._plan = make_plan(model, x1, x2, kind, "fallback" if force else None)
            self._like = self._plan.output_vectors.new_empty(0)
            dtype = _numpy_dtype(self._like)
            sums = torch.float64 if float64_sums else self._like.dtype
            self._request = Request(x1, columns, memory, chunk, sums)
            self._parts, self._vectors = self._made()
        self._output_vectors = len(self._plan.output_vectors)
        self.outputs = self._output_vectors if self._plan.full else 1
        self._state = State.of(model, x1, columns)
        super().__init__(dtype, (len(x1) * self.outputs, len(columns) * self.outputs))

    def __repr__(self) -> str:
        rows, columns = self._plan.samples
        samples = f"{rows} × {columns}" if columns else f"{rows}"
        return (
            f"NTKOperator({type(self.model).__name__}, {self.kind} NTK of {samples} samples: "
            f"[{self.shape[0]}, {self.shape[1]}], {self.dtype} on {self._like.device})"
        )

    def _made(self) -> tuple[list[Part], int]:
        """The fastest parts that fit the model."""
        try:
            return fast_parts(self._plan, self._request)
        except Exception as error:
            if not is_of_the_way(error):
                raise
        self._slow = True
        return slow_parts(self._plan, self._request)

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
        with self._as_made(), torch.no_grad():
            self._refuse_changes()
            if "products" in self._unverified:
                self._verify()
            found = self._products(columns)
        self.products += columns.shape[1]
        if not bool(found.isfinite().all()):
            raise ModelError(
                "a product with the kernel is not finite",
                where=type(self.model).__name__,
                remedy="look for NaN or overflow in its parameters and inputs",
            )
        return found if vectors.ndim == 2 else found.squeeze(1)

    def diagonal(self) -> Tensor:
        """Θ's diagonal [N], or [N·K] (kind full), exactly, on the model's device.

        Raises:
            VectorError: rows and columns are not the same samples.
            ModelError: the model was changed since.
        """
        if self._request.rows is not self._request.columns:
            raise VectorError(
                "the diagonal of a kernel between two sets of samples",
                where="NTKOperator.diagonal",
                remedy="make the operator without x2",
            )
        x, model = self._request.rows, self.model
        together = self._plan.tuning.diagonal_samples
        with self._as_made():
            self._refuse_changes()
            squares = [
                compute_kernels(model, self._plan, some, None, by_layer=False)[""]
                for some in x.split(together)
            ]
            if "diagonal" in self._unverified:
                check_entries(model, self._plan, {"": squares[0]}, x[:together], None)
                self._unverified = self._unverified - {"diagonal"}
        each = [t.reshape(len(t) * self.outputs, -1).diagonal() for t in squares]
        return torch.cat(each)

    def _verify(self) -> None:
        """Some entries of a column in the middle, by the products that are to be made.

        Raises:
            ModelError: they are not those of brute force.
        """
        rows, columns = self._request.rows, self._request.columns
        place = len(columns) // 2
        outputs = some_outputs(self._plan) if self.kind == "full" else [0]
        units = self._like.new_zeros(self.shape[1], len(outputs))
        for number, output in enumerate(outputs):
            units[place * self.outputs + output, number] = 1
        found = self._products(units)
        if self.kind == "full":
            found = found.unflatten(0, (-1, self.outputs))
        column = found if self.kind == "full" else found.squeeze(1)
        check_column(self.model, self._plan, column, place, rows, columns)
        self._unverified = self._unverified - {"products"}

    def _products(self, columns: Tensor) -> Tensor:
        """[M, p] to [N, p]; where a sample does not fit the parts, by slower ones from now on."""
        try:
            return self._all_blocks(columns)
        except Exception as error:
            if self._slow or not is_of_the_way(error):
                raise
        self._slow = True
        self._parts, self._vectors = slow_parts(self._plan, self._request)
        return self._all_blocks(columns)

    def _all_blocks(self, columns: Tensor) -> Tensor:
        return torch.cat([self._block(some) for some in columns.split(self._vectors, 1)], 1)

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

    @contextmanager
    def _as_made(self) -> Iterator[None]:
        """The same parameters learn as when it was made, and the model is left as it is."""
        model, explained = self.model, failures_explained(self.model, *self._request.sides)
        with learning_only(model, self._learns), preserve_state(model), explained:
            yield

    def _refuse_changes(self) -> None:
        check_model(self.model)
        what = self._state.change()
        if what is not None:
            raise ModelError(
                f"{what} changed since the operator was made",
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
        other._parts, other._request = (
            [part.swapped() for part in self._parts],
            self._request.swapped,
        )
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
