"""Make neural_tangents_kernels.json: infinite-width kernels by neural-tangents, in float64.

Run in an environment of its own (nothing of ntkscope is imported):
    pip install "jax==0.4.24" "jaxlib==0.4.24" "numpy<2" "scipy<1.13" frozendict typing_extensions
    pip install --no-deps "neural-tangents==0.6.5"
    python neural_tangents_kernels.py > neural_tangents_kernels.json
"""

import itertools
import json
import math
import sys
import types

# This module of neural-tangents needs TensorFlow, which the kernels do not.
sys.modules["neural_tangents.experimental"] = types.ModuleType("experimental")

import jax  # noqa: E402
import neural_tangents  # noqa: E402
import numpy as np  # noqa: E402
from neural_tangents import stax  # noqa: E402

jax.config.update("jax_enable_x64", True)

SHAPES = {"mlp": (2, 3, 1), "cnn": (6, 5, 2), "myrtle5": (8, 8, 1)}
DEPTHS = {"mlp": (1, 2, 3), "cnn": (1, 2), "myrtle5": (5,)}
WIDTH, OUTPUTS, WEIGHT_STD, BIAS_STD = 7, 3, 1.3, 0.4


def affine(kind, spec, inputs, outputs, std=WEIGHT_STD):
    """A Dense or Conv layer; `standard` has PyTorch's default variances, 1/(3 fan-in)."""
    fan_in = inputs * (9 if kind is stax.Conv else 1)
    standard = spec["parametrisation"] == "standard"
    bias = (1 / math.sqrt(3 * fan_in) if standard else BIAS_STD) if spec["bias"] else None
    options = {
        "W_std": 1 / math.sqrt(3) if standard else std,
        "b_std": bias,
        "parameterization": spec["parametrisation"],
    }
    if kind is stax.Conv:
        return stax.Conv(outputs, (3, 3), padding="SAME", **options)
    return stax.Dense(outputs, **options)


def network(spec, shape):
    """The stax network of a specification."""
    activation = {"relu": stax.Relu, "erf": stax.Erf}[spec["activation"]]()
    pool = stax.AvgPool((2, 2), (2, 2))
    height, width, channels = shape
    layers = []
    if spec["kind"] == "mlp":
        layers, fan_in = [stax.Flatten()], math.prod(shape)
        for _ in range(spec["depth"]):
            layers += [affine(stax.Dense, spec, fan_in, WIDTH), activation]
            fan_in = WIDTH
    elif spec["kind"] == "cnn":
        for number in range(spec["depth"]):
            wider = WIDTH * 2**number
            layers += [affine(stax.Conv, spec, channels, wider), activation, pool]
            height, width, channels = height // 2, width // 2, wider
        layers, fan_in = [*layers, stax.Flatten()], height * width * channels
    else:
        for block in (2, 1, 1):
            for _ in range(block):
                layers += [affine(stax.Conv, spec, channels, WIDTH), activation]
                channels = WIDTH
            layers.append(pool)
        layers, fan_in = [*layers, stax.GlobalAvgPool()], channels
    return stax.serial(*layers, affine(stax.Dense, spec, fan_in, OUTPUTS, 1.0))[2]


def cases():
    """Every architecture in both parametrisations, with and without biases."""
    for kind, depths in DEPTHS.items():
        for depth, activation, parametrisation, bias in itertools.product(
            depths, ("relu", "erf"), ("ntk", "standard"), (True, False)
        ):
            spec = {"kind": kind, "depth": depth, "width": WIDTH, "activation": activation}
            spec |= {"bias": bias, "parametrisation": parametrisation}
            if parametrisation == "ntk":
                spec |= {"weight_std": WEIGHT_STD, "bias_std": BIAS_STD}
            yield spec


def main():
    """Print everything as JSON."""
    random = np.random.RandomState(0)
    inputs = {k: random.randn(5, *shape).round(3) for k, shape in SHAPES.items()}
    found = []
    for spec in cases():
        x = inputs[spec["kind"]]
        kernel = jax.jit(network(spec, SHAPES[spec["kind"]]), static_argnums=2)
        both = kernel(x[:3], x[3:], ("nngp", "ntk"))
        found.append(
            {"spec": spec, "nngp": np.array(both.nngp).tolist(), "ntk": np.array(both.ntk).tolist()}
        )
        print(spec, file=sys.stderr)
    versions = {"neural_tangents": neural_tangents.__version__, "jax": jax.__version__}
    stored = {
        "versions": versions,
        "outputs": OUTPUTS,
        "shapes": SHAPES,
        "inputs": {k: x.tolist() for k, x in inputs.items()},
        "cases": found,
    }
    json.dump(stored, sys.stdout)
    print()


if __name__ == "__main__":
    main()
