"""Make neural_tangents_graphs.json: infinite-width kernels of networks that are no plain sequences.

By neural-tangents, in float64, in an environment as of neural_tangents_kernels.py:
    python neural_tangents_graphs.py > neural_tangents_graphs.json
The same networks as torch modules are in tests/unit/ntk/test_infinite_graphs.py.
"""

import json
import sys
import types
import warnings

# This module of neural-tangents needs TensorFlow, which the kernels do not.
sys.modules["neural_tangents.experimental"] = types.ModuleType("experimental")

import jax  # noqa: E402
import neural_tangents  # noqa: E402
import numpy as np  # noqa: E402
from neural_tangents import stax  # noqa: E402

jax.config.update("jax_enable_x64", True)
warnings.simplefilter("ignore")

WEIGHT_STD, BIAS_STD, WIDTH = 1.3, 0.4, 7
SHAPES = {"vectors": (6,), "images": (6, 5, 2), "tokens": (4, 3)}


def dense():
    return stax.Dense(WIDTH, WEIGHT_STD, BIAS_STD)


def conv(size=3, stride=1, padding="SAME"):
    return stax.Conv(WIDTH, (size, size), (stride, stride), padding, WEIGHT_STD, BIAS_STD)


def residual(*branch):
    branches = (stax.Identity(), stax.serial(*branch))
    return stax.serial(stax.FanOut(2), stax.parallel(*branches), stax.FanInSum())


def attention():
    return stax.GlobalSelfAttention(
        WIDTH, WIDTH, WIDTH, 1, W_key_std=WEIGHT_STD, W_query_std=WEIGHT_STD,
        W_value_std=WEIGHT_STD, W_out_std=WEIGHT_STD,
    )  # fmt: skip


def pool():
    return stax.AvgPool((3, 3), (2, 2), "VALID")


NETWORKS = {
    "residual": (
        "vectors",
        [dense(), residual(stax.Relu(), dense()),
         residual(stax.Relu(), dense(), stax.Erf(), dense()), stax.Relu()],
    ),
    "leaky": ("vectors", [dense(), stax.LeakyRelu(0.2), dense(), stax.ABRelu(-1.0, 1.0)]),
    "sine": ("vectors", [dense(), stax.Sin(1.0, 1.7, 0.3)]),
    "gelu": ("vectors", [dense(), stax.Gelu()]),
    "norm": (
        "vectors",
        [dense(), stax.LayerNorm(eps=1e-5), stax.Relu(), dense(), stax.LayerNorm(eps=1e-5)],
    ),
    "resnet": (
        "images",
        [conv(), residual(stax.Relu(), conv(), stax.Relu(), conv()), stax.Relu(),
         conv(3, 2, "VALID"), residual(stax.Relu(), conv(1)), stax.GlobalAvgPool()],
    ),
    "pools": ("images", [conv(), stax.Relu(), pool(), conv(), stax.Relu(), stax.Flatten()]),
    "attention": (
        "tokens",
        [dense(), residual(attention()), stax.LayerNorm(eps=1e-5),
         residual(dense(), stax.Relu(), dense()), attention(), stax.GlobalAvgPool()],
    ),
}  # fmt: skip


def main():
    """Print everything as JSON."""
    random = np.random.RandomState(0)
    inputs = {k: random.randn(5, *shape).round(3) for k, shape in SHAPES.items()}
    found = {}
    for name, (kind, layers) in NETWORKS.items():
        x = inputs[kind]
        kernel = stax.serial(*layers, dense())[2]
        both = kernel(x[:3], x[3:], ("nngp", "ntk"))
        parts = {"nngp": np.array(both.nngp).tolist(), "ntk": np.array(both.ntk).tolist()}
        found[name] = {"inputs": kind, **parts}
        print(name, file=sys.stderr)
    versions = {"neural_tangents": neural_tangents.__version__, "jax": jax.__version__}
    stored = {
        "versions": versions,
        "weight_std": WEIGHT_STD,
        "bias_std": BIAS_STD,
        "inputs": {k: x.tolist() for k, x in inputs.items()},
        "cases": found,
    }
    json.dump(stored, sys.stdout)
    print()


if __name__ == "__main__":
    main()
