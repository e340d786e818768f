"""neural-tangents 0.6.5, jitted; its STRUCTURED mode, the fastest of its empirical ones.

It was last released in 2023 and does not import with today's JAX. With JAX 0.4.24 it needs three
things set right: its module of TensorFlow functions is not loaded, JAX's tracing internals are put
where it looks for them, and flops are read from a list where JAX now gives one.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

import jax
import jax._src.source_info_util
import numpy as np
from jax import lax
from jax import numpy as jnp
from jax.interpreters import ad
from numpy.typing import NDArray

from benchmarks.cases import MYRTLE5_BLOCKS, Case, inputs, weights

sys.modules["neural_tangents.experimental"] = types.ModuleType("experimental")
if not hasattr(ad, "source_info_util"):
    ad.source_info_util = jax._src.source_info_util
if not hasattr(ad, "config"):
    ad.config = types.SimpleNamespace(jax_enable_checks=False)

import neural_tangents  # noqa: E402
from neural_tangents import stax  # noqa: E402
from neural_tangents._src import empirical  # noqa: E402


def _flops(function: Any, optimize: bool, *args: Any, **options: Any) -> float:
    lowered = jax.jit(function).lower(*args, **options)
    found = lowered.compile().cost_analysis() if optimize else lowered.cost_analysis()
    return (found[0] if isinstance(found, list | tuple) else found)["flops"]


empirical._get_flops = _flops

Take = tuple[Callable[[], Any], Callable[..., NDArray[Any]]]


def version() -> str:
    """Of neural-tangents and JAX."""
    return f"neural-tangents {neural_tangents.__version__}, jax {jax.__version__}"


def prepare(case: Case, variant: str) -> Take:
    """Compiled for the case."""
    x1, x2 = (None if x is None else jnp.asarray(x.transpose(0, 2, 3, 1)) for x in inputs(case))
    if case.group == "infinite":
        kernel = _infinite(case)
        compiled = jax.jit(lambda a, b: kernel(a, b, "ntk")).lower(x1, x2).compile()
        return lambda: compiled(x1, x2).block_until_ready(), pick
    parameters = _parameters(case)
    kernel = neural_tangents.empirical_ntk_fn(
        lambda p, x: _forward(case, p, x),
        trace_axes=(-1,) if case.group == "trace" else (),
        vmap_axes=0,
        implementation=neural_tangents.NtkImplementation.STRUCTURED_DERIVATIVES,
    )
    compiled = jax.jit(lambda x, p: kernel(x, None, p)).lower(x1, parameters).compile()
    return lambda: compiled(x1, parameters).block_until_ready(), pick


def pick(kernel: Any, rows: NDArray[Any], columns: NDArray[Any]) -> NDArray[Any]:
    """Some samples of [N, N] or [N, N, K, K]."""
    found = np.asarray(kernel)[rows][:, columns]
    return found if kernel.ndim == 2 else found.transpose(0, 2, 1, 3)


def _parameters(case: Case) -> list[tuple[Any, Any]]:
    """The case's weights as JAX has them: [in, out], [3, 3, in, out], channels last."""
    found = []
    for weight, bias in weights(case):
        if weight.ndim == 4:
            weight = weight.transpose(2, 3, 1, 0)  # noqa: PLW2901
        elif case.network == "cnn":
            y, x, _ = case.shape
            image = weight.reshape(len(weight), -1, y // 4, x // 4)
            weight = image.transpose(2, 3, 1, 0).reshape(-1, len(weight))  # noqa: PLW2901
        else:
            weight = weight.T  # noqa: PLW2901
        found.append((jnp.asarray(weight), jnp.asarray(bias)))
    return found


def _forward(case: Case, parameters: list[tuple[Any, Any]], x: Any) -> Any:
    """The network of the case; x [N, y, x, channel]."""
    *hidden, (weight, bias) = parameters
    pooled = {"mlp": (), "cnn": (1, 2), "myrtle5": np.cumsum(MYRTLE5_BLOCKS)}[case.network]
    if case.network == "mlp":
        x = x.reshape(len(x), -1)
    for number, layer in enumerate(hidden, 1):
        x = jax.nn.relu(x @ layer[0] + layer[1] if x.ndim == 2 else _convolve(x, *layer))
        if number in pooled:
            x = _pool(x)
    if case.network == "myrtle5":
        x = x.mean((1, 2))
    return x.reshape(len(x), -1) @ weight + bias


def _convolve(x: Any, weight: Any, bias: Any) -> Any:
    dims = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, weight, (1, 1), "SAME", dimension_numbers=dims) + bias


def _pool(x: Any) -> Any:
    return lax.reduce_window(x, 0.0, lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") / 4


def _infinite(case: Case) -> Any:
    """The kernel function of the network of infinite width."""
    scales = {"W_std": 2**0.5, "b_std": 0.1 if case.bias else None}
    if case.network == "mlp":
        hidden = [stax.Dense(case.width, **scales), stax.Relu()] * case.depth
        layers = [stax.Flatten(), *hidden]
    else:
        convolution = [stax.Conv(case.width, (3, 3), padding="SAME", **scales), stax.Relu()]
        pool = stax.AvgPool((2, 2), (2, 2))
        blocks = [layer for number in MYRTLE5_BLOCKS for layer in (*convolution * number, pool)]
        layers = [*blocks, stax.GlobalAvgPool()]
    readout = stax.Dense(case.outputs, **{**scales, "W_std": 1.0})
    return stax.serial(*layers, readout)[2]
