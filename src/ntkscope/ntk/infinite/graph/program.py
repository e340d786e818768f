"""From a module and the shape of its inputs to a program of steps."""

from __future__ import annotations

from torch import Tensor, nn

from ntkscope.errors import ModelError
from ntkscope.models import Dense
from ntkscope.ntk.infinite.affine import affine_law
from ntkscope.ntk.infinite.from_module import Stds, scaled
from ntkscope.ntk.infinite.graph.builder import Builder
from ntkscope.ntk.infinite.graph.kernels import Program
from ntkscope.ntk.infinite.graph.trace import traced
from ntkscope.ntk.infinite.graph.translate import Translation


def as_program(
    network: nn.Module, x: Tensor, stds: tuple[Stds, Stds], normal_biases: bool
) -> Program:
    """The steps of a network for inputs like x.

    Which axis is that of the channels, the first layer tells.

    Args:
        network: any module.
        x: inputs [N, …].
        stds: W_std and b_std; None: PyTorch's parametrisation.
        normal_biases: see `affine_law`.

    Raises:
        ModelError: a network whose limit is not known; of several axes, where it came furthest.
    """
    shape = tuple(x.shape[1:])
    called, graph = traced(network)
    furthest: tuple[int, ModelError] | None = None
    for channel in _channel_axes(shape):
        build = Builder(shape, channel, x.device)
        try:
            output = Translation(called, graph, build).result()
        except ModelError as error:
            if furthest is None or len(build.steps) > furthest[0]:
                furthest = len(build.steps), error
            continue
        layers = scaled(build.layers, *stds)
        laws = [affine_law(layer, normal_biases) for layer in layers if isinstance(layer, Dense)]
        steps, read = tuple(build.steps), tuple(build.read)
        return Program(steps, read, tuple(laws), channel, output.step, build.positions)
    assert furthest is not None
    raise furthest[1]


def _channel_axes(shape: tuple[int, ...]) -> list[int]:
    """The usual one first: [features], [tokens, channels], [channels, y, x]."""
    last = len(shape) - 1
    return [0] if not last else [1, 0] if last == 1 else [0, last]
