"""Look at a model's first samples, and choose how each layer's kernel is computed."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from ntkscope.errors import ModelError
from ntkscope.ntk.empirical.budget import BytesPerSample, pass_bytes
from ntkscope.ntk.empirical.costs import (
    REFERENCE_THROUGHPUT,
    LayerShape,
    Throughput,
    passes_cost,
    product_cost,
)
from ntkscope.ntk.empirical.evidence import Evidence, draw
from ntkscope.ntk.empirical.gradients.factors import FactoredGradients, at_one_position
from ntkscope.ntk.empirical.gradients.im2col import is_convolution, window_of
from ntkscope.ntk.empirical.gradients.registry import is_known
from ntkscope.ntk.empirical.gram.strategies import COSTS, cheapest
from ntkscope.ntk.empirical.independence import DoubtError, check_independence
from ntkscope.ntk.empirical.inputs import tensors_of
from ntkscope.ntk.empirical.last_resort import (
    is_of_one_dtype,
    kernel_dtype,
    may_fall_back,
    one_at_a_time,
    real_size,
)
from ntkscope.ntk.empirical.layer_gradients import (
    CallGradients,
    factored_gradients,
)
from ntkscope.ntk.empirical.plan import Plan, PlannedLayer, layers_that_learn
from ntkscope.ntk.empirical.precision import cast, cast_model, moved
from ntkscope.ntk.empirical.rounding import Rounding
from ntkscope.ntk.empirical.sequential.recognise import known_layers
from ntkscope.ntk.empirical.structure import structure
from ntkscope.ntk.empirical.tuning import TUNING, Tuning
from ntkscope.ntk.empirical.validation import count_outputs
from ntkscope.ntk.empirical.verification import choose_backpropagation
from ntkscope.ntk.kinds import output_vectors_of, pairs_of


def make_plan(
    model: nn.Module,
    x1: Tensor,
    x2: Tensor | None,
    kind: str,
    force: str | None = None,
    throughput: Throughput = REFERENCE_THROUGHPUT,
    tuning: Tuning = TUNING,
) -> Plan:
    """A plan for a model and all inputs of one shape.

    Args:
        model: maps [N, …] to [N, K].
        x1, x2: inputs, as of `engine.compute_kernels`. The formulas are verified on some samples of
            x1 (`evidence`), that samples are independent on all (`independence`).
        kind: one of `kinds.EMPIRICAL_KINDS`.
        force: a strategy to take wherever it is possible.
        throughput: by which the cheapest strategy is chosen. The reference one chooses the same on
            every machine, and so gives the same bits in every process.
        tuning: what else decides about speed and memory.

    Raises:
        ModelError: the kernel is not defined (`validation`).
    """
    before = structure(model)
    plan = _planned(model, x1, x2, kind, force, throughput, tuning)
    plan.structure = before
    if not plan.in_doubt:
        return plan
    try:
        wide = cast_model(model, torch.float64)
        sides = cast(x1, torch.float64), cast(x2, torch.float64)
        finer = _planned(wide, *sides, kind, force, throughput, tuning)
    except Exception as error:
        if plan.doubt is not None and not isinstance(error, ModelError):
            raise plan.doubt from error
        if isinstance(error, ModelError):
            raise
        return plan  # what is in doubt is left to autograd
    return _in_bytes_of(moved(finer, model), plan)


def _planned(
    model: nn.Module,
    x1: Tensor,
    x2: Tensor | None,
    kind: str,
    force: str | None,
    throughput: Throughput,
    tuning: Tuning,
) -> Plan:
    """As of `make_plan`, in the model's dtype; `in_doubt` says that it is too coarse."""
    source = x2 if x2 is not None and len(x1) < 2 <= len(x2) else x1
    outputs = count_outputs(model, source)
    like = next(p for p in model.parameters() if p.requires_grad)
    plan = Plan(
        model,
        kind,
        (len(x1), 0 if x2 is None else len(x2)),
        layers_that_learn(model),
        output_vectors_of(kind, outputs, like.detach().new_empty(0, dtype=kernel_dtype(model))),
        pairs_of(kind),
        throughput,
        tuning=tuning,
        rounding=Rounding.of(model),
    )
    for layer in plan.layers:
        if force == "fallback" or not is_known(layer.module):
            layer.strategy = "fallback"
    proven = known_layers(model) is not None
    evidence = _of_its_own_number(draw(model, plan, x1, x2, few=proven))
    plan = _with_ways(plan, evidence, force)
    if not proven:
        _look_at_companies(model, plan, x1, x2, evidence)
    return plan


def _with_ways(plan: Plan, evidence: Evidence, force: str | None) -> Plan:
    """The plan with the fastest way to the gradients of each layer that is right."""
    model, n = plan.model, len(evidence.x)
    if is_of_one_dtype(model):
        try:
            uses = force != "fallback" and n > 1
            calls, collapsed = choose_backpropagation(model, plan, evidence, uses=uses)
            _choose_all(plan, n, calls, collapsed, force)
        except Exception as error:
            if not may_fall_back(plan, error):
                raise
        else:
            return plan
    plan = one_at_a_time(plan)
    _choose_all(plan, n, {}, set(), None)
    return plan


def _of_its_own_number(evidence: Evidence) -> Evidence:
    """So many samples that no axis but theirs is as long, and passes for theirs."""
    sizes = {size for t in tensors_of(evidence.x) for size in t.shape[1:]}
    n = len(evidence.x)
    while n > 2 and n in sizes:
        n -= 1
    fewer = evidence.outputs[:n], evidence.gradients[:n]
    return Evidence(evidence.x[:n], evidence.vector, *fewer, evidence.informative)


def _look_at_companies(
    model: nn.Module, plan: Plan, x1: Tensor, x2: Tensor | None, evidence: Evidence
) -> None:
    """Whether outputs depend on other samples; a difference that may be rounding is a doubt."""
    like = plan.output_vectors
    at_once = pass_bytes(like.device, plan.tuning) // max(1, plan.working_bytes)
    try:
        check_independence(model, x1, evidence, plan.rounding, at_once)
        if x2 is not None:
            check_independence(model, x2, None, plan.rounding, at_once)
    except DoubtError as doubt:
        plan.in_doubt, plan.doubt = True, doubt


def _in_bytes_of(plan: Plan, like: Plan) -> Plan:
    """A plan that was made in a wider dtype, with the memory that it takes in this one."""
    times = 8 // like.output_vectors.element_size()
    for layer in plan.layers:
        layer.kept = layer.kept.divided(times)
    working = plan.working.divided(times)
    return replace(plan, working=working, rounding=like.rounding, structure=like.structure)


def probe_of(x1: Tensor, x2: Tensor | None) -> Tensor:
    """Two samples, of either set, or the only one: alone, what all samples share passes for its."""
    if len(x1) < 2 and x2 is not None and len(x2) > 1:
        return x2[:2]
    return x1[:2]


def _choose_all(
    plan: Plan,
    n: int,
    calls: dict[str, CallGradients],
    collapsed: set[str],
    force: str | None,
) -> None:
    """The strategies of all layers; calls, and layers collapsed, as of the probe of n samples."""
    parameters, plan.working = dict(plan.model.named_parameters()), BytesPerSample()
    for layer in plan.layers:
        own = sum(real_size(parameters[name]) for name in layer.owns)
        mine = calls.get(layer.name, [])
        layer.rows = tuple(len(call.inputs) // n for call, _ in mine)
        _choose(plan, layer, own, n, mine, force, collapsed=layer.name in collapsed)


def _choose(
    plan: Plan,
    layer: PlannedLayer,
    own: int,
    n: int,
    calls: CallGradients,
    force: str | None,
    *,
    collapsed: bool,
) -> None:
    """The strategy of a layer, its cost, and the memory that its passes and gradients take.

    Args:
        plan: to which the layer belongs.
        layer: of which layer.
        own: how many parameters it owns.
        n: samples of the probe.
        calls: on it, with their output gradients.
        force: a strategy to take where it is possible.
        collapsed: one output vector stands for all.
    """
    item = plan.output_vectors.element_size()
    for call, _ in calls:
        fixed, each = 4 * call.inputs.numel() * item, 2 * call.shape.numel() * item
        plan.working += BytesPerSample(fixed // n, each // n)
    known = layer.strategy != "fallback" and not plan.is_tied(layer)
    products = factored_gradients(calls, n) if known else None
    if products is None:
        output_vectors = 1 if collapsed else len(plan.output_vectors)
        layer.cost = product_cost(_sample_pairs(plan) * output_vectors, own * _times(plan))
        layer.kept = (
            BytesPerSample(fixed=own * item)
            if collapsed
            else BytesPerSample(per_output_vector=own * item)
        )
        plan.working += BytesPerSample(
            per_output_vector=2 * own * item if layer.strategy == "fallback" else 0
        )
        return
    if force is None and products.positions > 1 and len(calls) == 1:
        one = at_one_position(products)
        layer.one_position = one is not None and bool((one.output_gradients != 0).any(4).all())
        products = one if one is not None and layer.one_position else products
    layer.shape = replace(_layer_shape(plan, layer, calls, products), collapsed=collapsed)
    layer.strategy = cheapest(layer.shape, plan.throughput, force)
    layer.cost = COSTS[layer.strategy](layer.shape)
    layer.passes = passes_cost(layer.shape)
    layer.kept = _kept(layer, len(calls) == 1 and calls[0][0].top, item)
    plan.working += BytesPerSample(item * products.inputs[0].numel())


def _layer_shape(
    plan: Plan, layer: PlannedLayer, calls: CallGradients, products: FactoredGradients
) -> LayerShape:
    groups, positions, _, outputs = products.output_gradients.shape[1:]
    image, kernel, module = None, 0, calls[0][0].module
    if is_convolution(module) and len(calls) == 1:
        window = window_of(module, calls[0][0].inputs)
        image = (math.prod(window.image), module.in_channels // module.groups)
        kernel = sum(window.kernel)
    return LayerShape(
        groups,
        positions,
        len(plan.output_vectors),
        outputs,
        products.width,
        image,
        kernel,
        sum(plan.samples),
        _sample_pairs(plan),
        plan.pairs,
        one_hot=not products.inputs.is_floating_point(),
    )


def _sample_pairs(plan: Plan) -> float:
    n, m = plan.samples
    return n * m if m else n * (n + 1) / 2


def _times(plan: Plan) -> int:
    """Products of each output vector."""
    return len(plan.output_vectors) if plan.pairs == "full" else 1


def _kept(layer: PlannedLayer, shared: bool, item: int) -> BytesPerSample:
    """Memory of what is kept of a sample; `shared`: its output gradient is the same for all."""
    shape = layer.shape
    assert shape is not None
    back = shape.groups * shape.outputs * item
    if layer.strategy == "materialised":
        return _of_output_vectors(shape, back * (shape.width + 1))
    inputs = shape.positions * (8 // item if shape.one_hot else shape.width)
    if layer.strategy == "pixels":
        assert shape.image is not None
        inputs = math.prod(shape.image)
    fixed = BytesPerSample(shape.groups * inputs * item)
    return fixed if shared else fixed + _of_output_vectors(shape, back * shape.positions)


def _of_output_vectors(shape: LayerShape, each: int) -> BytesPerSample:
    return BytesPerSample(fixed=each) if shape.collapsed else BytesPerSample(per_output_vector=each)
