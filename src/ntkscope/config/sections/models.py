"""The sections of networks, and of regimes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ntkscope.config.sections.base import (
    KIND,
    Depth,
    Identifier,
    Plain,
    PositiveFloat,
    Scale,
    Section,
    Size,
    Sweep,
)
from ntkscope.config.sections.texts import Label

MyrtleKind = Literal["myrtle5", "myrtle7", "myrtle10"]
ModelKind = Literal["mlp", "cnn", "cnn5", MyrtleKind, "module"]
Parametrisation = Literal["standard", "ntk"]
Initialisation = Literal["pytorch", "he"]
Activation = Literal["relu", "tanh", "gelu", "erf"]
FUNCTION = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$"
_ACTIVATION = "Nonlinearity after every layer but the readout."
_BIAS = "Whether layers have biases."


class MLP(Section):
    """Fully connected network."""

    kind: Literal["mlp"] = Field(description=KIND)
    depth: Sweep[Depth] = Field([2], description="Hidden layers.")
    width: Sweep[Size] = Field([256], description="Units in each hidden layer.")
    activation: Sweep[Activation] = Field(["relu"], description=_ACTIVATION)
    bias: Sweep[bool] = Field([True], description=_BIAS)


class CNN(Section):
    """`depth` blocks of [3×3 convolution, activation, 2×2 average pool], then a linear readout."""

    kind: Literal["cnn"] = Field(description=KIND)
    depth: Sweep[Depth] = Field([2], description="Convolution blocks.")
    width: Sweep[Size] = Field(
        [32], description="Channels of the first block; each next block doubles them."
    )
    activation: Sweep[Activation] = Field(["relu"], description=_ACTIVATION)
    bias: Sweep[bool] = Field([True], description=_BIAS)


class CNN5(Section):
    """Four 3×3 convolutions of k, 2k, 4k and 8k channels, pooled by 1, 2, 2 and all; readout."""

    kind: Literal["cnn5"] = Field(description=KIND)
    width: Sweep[Size] = Field([16], description="k: channels of the first convolution.")
    activation: Sweep[Activation] = Field(["relu"], description=_ACTIVATION)
    bias: Sweep[bool] = Field([True], description=_BIAS)


class Myrtle(Section):
    """Myrtle network of 5, 7 or 10 layers, global average pooling, linear readout."""

    kind: MyrtleKind = Field(description=KIND)
    width: Sweep[Size] = Field([64], description="Channels of every convolution.")
    activation: Sweep[Activation] = Field(["relu"], description=_ACTIVATION)
    bias: Sweep[bool] = Field([True], description=_BIAS)


REGIME_ROLES = ("feature", "lazy", "ntk")
"""What a regime may be to an analysis."""


class Module(Section):
    """A network of the user's own: any function that builds an `nn.Module`."""

    kind: Literal["module"] = Field(description=KIND)
    function: Annotated[str, Field(pattern=FUNCTION)] = Field(
        description="`package.module:function`, in the working folder or installed: "
        "`function(shape, outputs, **arguments)` gives the network. Its code is run.",
    )
    arguments: dict[Identifier, Sweep[Plain]] = Field(
        {},
        description="Arguments of the function, by name; one called `width` is the run's width.",
    )


Model = Annotated[MLP | CNN | CNN5 | Myrtle | Module, Field(discriminator="kind")]


class Regime(Section):
    """A learning regime: how parameters are scaled and how the learning rate follows the width."""

    parametrisation: Parametrisation = Field(
        "standard",
        description="standard: PyTorch's default; ntk: unit normal parameters, "
        "1/√fan_in in the forward pass.",
    )
    learning_rate: Sweep[PositiveFloat] = Field(
        [0.1], description="Step size of the optimiser, before `scaling`."
    )
    scaling: Literal["fixed", "inverse_width"] = Field(
        "fixed", description="inverse_width: the learning rate used is learning_rate / width."
    )
    weight_std: Scale = Field(
        2.0**0.5,
        description="ntk parametrisation only: W_std of all layers but the readout (1); √2.",
    )
    bias_std: Annotated[float, Field(ge=0, le=1e3, allow_inf_nan=False)] = Field(
        0.1, description="ntk parametrisation only: scale of the biases, which start at 0."
    )
    role: Literal["feature", "lazy", "ntk"] | None = Field(
        None,
        description="What it is to claims about regimes, whatever its name (cosmetic); feature: a "
        "fixed rate, lazy: a rate ∝ 1/width, ntk: the true lazy limit, null: none of them.",
    )
    label: Label | None = Field(None, description="Name in figures (cosmetic).")
