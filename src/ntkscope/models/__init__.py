"""Networks: one architecture description, built plainly or as a stack of seeds.

`zoo.architecture` turns a `ModelSpec` into layer descriptions; `build_network` makes an ordinary
torch module of them, `StackedNetwork` one module that holds many networks (seeds) at once.
Parameters have the same names in both; the stack has one more, leading, dimension.
"""

from ntkscope.models.architecture import (
    Activation,
    Architecture,
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
)
from ntkscope.models.initialise import initial_parameters, parameter_shapes
from ntkscope.models.network import build_network
from ntkscope.models.stacked import StackedNetwork

__all__ = [
    "Activation",
    "Architecture",
    "AvgPool",
    "Conv",
    "Dense",
    "Flatten",
    "GlobalAvgPool",
    "StackedNetwork",
    "build_network",
    "initial_parameters",
    "parameter_shapes",
]
