"""The networks that a configuration can name: from a `ModelSpec` to layer descriptions."""

from __future__ import annotations

import math

from ntkscope.config.specs import ModelSpec
from ntkscope.config.user_code import function_digest
from ntkscope.errors import ModelError
from ntkscope.models.architecture import (
    Activation,
    Architecture,
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Layer,
)
from ntkscope.models.definition import Definition, of_layers
from ntkscope.models.user_module import UserModule

# Convolutions between poolings: Myrtle networks (Shankar et al. 2020, "Neural kernels without
# tangents", section 5).
_MYRTLE = {"myrtle5": (2, 1, 1), "myrtle7": (2, 2, 2), "myrtle10": (3, 3, 3)}
_CNN5_POOLINGS = (1, 2, 2, 1)  # after each convolution; then all that is left


def define(
    spec: ModelSpec, shape: tuple[int, ...], outputs: int, *, tokens: bool = False
) -> Definition:
    """The definition of a network.

    Args:
        spec: kind, sizes and parametrisation, or the user's function.
        shape: of a sample as it is stored: (y, x, channel) of images.
        outputs: number of logits.
        tokens: samples are whole numbers, for an embedding.

    Raises:
        ModelError: the user's function is no longer the one that the spec was made with.
    """
    if spec.function is not None:
        _check_sources(spec.function, spec.source_digest)
        inputs = (shape[-1], *shape[:-1])  # as `data.inputs` has them
        build = UserModule(spec.function, spec.arguments, inputs, outputs, tokens)
        return Definition(build, function=spec.function, outputs=outputs)
    return of_layers(architecture(spec, shape, outputs))


def _check_sources(function: str, digest: str | None) -> None:
    """A job may begin long after the configuration was read."""
    if digest is not None and function_digest(function, "model.function") != digest:
        raise ModelError(
            "the sources behind this function have changed since the configuration was read",
            where=function,
            remedy="run snakemake again: it makes the runs of the function as it is now",
        )


def architecture(spec: ModelSpec, shape: tuple[int, ...], outputs: int) -> Architecture:
    """The layers of a network.

    Args:
        spec: kind, sizes and parametrisation.
        shape: of a sample: image (y, x, channel), or for an MLP any.
        outputs: number of logits.

    Under the NTK parametrisation (Jacot et al. 2018) weights are unit normal and scaled by
    W_std/√fan_in in the forward pass (the readout by 1/√fan_in), biases by b_std. Under the
    standard one, `initialisation: he` has gain √2 (the readout 1) and biases that start at 0.
    """
    if spec.kind == "mlp":
        return _mlp(spec, math.prod(shape), outputs)
    if spec.kind == "cnn5":
        return _cnn5(spec, shape[-1], outputs)
    if spec.kind == "cnn":
        height, width, channels = shape
        return _cnn(spec, (height, width, channels), outputs)
    return _myrtle(spec, shape[-1], outputs)


def _scales(spec: ModelSpec, fan_in: int, readout: bool = False) -> dict[str, float | bool]:
    if spec.parametrisation == "standard":
        gain = {} if spec.initialisation == "pytorch" else {"gain": 1.0 if readout else 2.0**0.5}
        return {"bias": spec.bias, **gain}
    assert spec.weight_std is not None and spec.bias_std is not None
    std = 1.0 if readout else spec.weight_std
    return {
        "bias": spec.bias,
        "ntk": True,
        "weight_scale": std / math.sqrt(fan_in),
        "bias_scale": spec.bias_std,
    }


def _dense(spec: ModelSpec, name: str, inputs: int, outputs: int) -> Dense:
    return Dense(name, inputs, outputs, **_scales(spec, inputs, name == "readout"))  # type: ignore[arg-type]


def _conv(spec: ModelSpec, name: str, inputs: int, outputs: int) -> Conv:
    return Conv(name, inputs, outputs, **_scales(spec, inputs * 9))  # type: ignore[arg-type]


def _mlp(spec: ModelSpec, inputs: int, outputs: int) -> Architecture:
    layers: list[Layer] = [Flatten()]
    for number in range(1, spec.depth + 1):
        layers += [_dense(spec, f"hidden{number}", inputs, spec.width), Activation(spec.activation)]
        inputs = spec.width
    return (*layers, _dense(spec, "readout", inputs, outputs))


def _cnn(spec: ModelSpec, shape: tuple[int, int, int], outputs: int) -> Architecture:
    height, width, channels = shape
    layers: list[Layer] = []
    for number in range(1, spec.depth + 1):
        wider = spec.width * 2 ** (number - 1)
        conv = _conv(spec, f"conv{number}", channels, wider)
        layers += [conv, Activation(spec.activation), AvgPool(2)]
        height, width, channels = height // 2, width // 2, wider
    return (*layers, Flatten(), _dense(spec, "readout", height * width * channels, outputs))


def _cnn5(spec: ModelSpec, channels: int, outputs: int) -> Architecture:
    """Four convolutions of k, 2k, 4k, 8k channels, poolings 1, 2, 2 and all, and the readout.

    Nakkiran et al. 2021, "Deep double descent", appendix B, have maxima for the poolings, and batch
    norm; here it is means, since the infinite kernel of maxima is not known, and no batch norm.
    """
    layers: list[Layer] = []
    for number, pooling in enumerate(_CNN5_POOLINGS, start=1):
        wider = spec.width * 2 ** (number - 1)
        layers += [_conv(spec, f"conv{number}", channels, wider), Activation(spec.activation)]
        layers += [AvgPool(pooling)] if pooling > 1 else []
        channels = wider
    return (*layers, GlobalAvgPool(), Flatten(), _dense(spec, "readout", channels, outputs))


def _myrtle(spec: ModelSpec, channels: int, outputs: int) -> Architecture:
    layers: list[Layer] = []
    number = 0
    for block in _MYRTLE[spec.kind]:
        for _ in range(block):
            number += 1
            conv = _conv(spec, f"conv{number}", channels, spec.width)
            layers += [conv, Activation(spec.activation)]
            channels = spec.width
        layers.append(AvgPool(2))
    return (*layers, GlobalAvgPool(), Flatten(), _dense(spec, "readout", channels, outputs))
