"""Networks: a `Definition` builds one; some have a description of their layers, others are modules.

`zoo.define` turns a `ModelSpec` into a definition. `build_network` makes an ordinary torch module
of a description, `StackedNetwork` one module that holds many networks (seeds) at once; any module
is a `SingleNetwork`. Parameters have the same names in all; stacks have one more, leading, axis.
It may import the configuration's specs, and the ground.
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
from ntkscope.models.definition import (
    Definition,
    check_alike,
    initial_tensors,
    layer_names,
    load_tensors,
)
from ntkscope.models.initialise import initial_parameters, parameter_shapes
from ntkscope.models.network import build_network
from ntkscope.models.single import SingleNetwork
from ntkscope.models.stacked import StackedNetwork

__all__ = [
    "Activation",
    "Architecture",
    "AvgPool",
    "Conv",
    "Definition",
    "Dense",
    "Flatten",
    "GlobalAvgPool",
    "SingleNetwork",
    "StackedNetwork",
    "build_network",
    "check_alike",
    "initial_parameters",
    "initial_tensors",
    "layer_names",
    "load_tensors",
    "parameter_shapes",
]
