"""Nearly equal vectors in a plain sequence: their NTK by the steps that carry distances."""

from __future__ import annotations

from torch import Tensor

from ntkscope.models import Activation, Conv, Dense
from ntkscope.ntk.infinite.affine import AffineLaw, affine_law
from ntkscope.ntk.infinite.cross import Engine
from ntkscope.ntk.infinite.dual_activations import dual
from ntkscope.ntk.infinite.graph.kernels import Program, near_kernel
from ntkscope.ntk.infinite.graph.steps import Activate, Affine, Step
from ntkscope.ntk.infinite.samples import Samples


def near_of_chain(
    engine: Engine, s1: Samples, s2: Samples, pairs: tuple[Tensor, Tensor], at_once: int
) -> Tensor:
    """The NTK [n] of pairs (indices into either set) of vectors, float64 (`near_kernel`)."""
    program = _program(engine)
    own = []
    for samples in (s1, s2):
        variances = iter(samples.variances)
        steps = enumerate(program.steps, 1)
        own.append({n: next(variances)[None] for n, step in steps if isinstance(step, Activate)})
    x = (s1.x[:, None], s2.x[:, None])
    return near_kernel(program, x, (own[0], own[1]), pairs, at_once)


def _program(engine: Engine) -> Program:
    steps: list[Step] = []
    laws: list[AffineLaw] = []
    for layer in engine.layers:
        if isinstance(layer, Activation):
            steps.append(Activate(dual(layer.kind)))
        elif isinstance(layer, Dense | Conv):
            steps.append(Affine(len(laws)))
            laws.append(affine_law(layer, engine.options.normal_biases))
    inputs = tuple((number,) for number in range(len(steps)))
    return Program(tuple(steps), inputs, tuple(laws), 0, len(steps), 1)
