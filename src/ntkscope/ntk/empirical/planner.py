"""Look at a model's first samples, and choose how each layer's kernel is taken."""

from __future__ import annotations

import math
from dataclasses import replace

from torch import Tensor, nn

from ntkscope.ntk.empirical.budget import Need
from ntkscope.ntk.empirical.costs import NOMINAL, Rates, Sizes, of_product, passes_work
from ntkscope.ntk.empirical.gradients.factors import OuterProducts
from ntkscope.ntk.empirical.gradients.im2col import window_of
from ntkscope.ntk.empirical.gradients.layers import is_known
from ntkscope.ntk.empirical.gram.strategies import WORK, cheapest
from ntkscope.ntk.empirical.layer_gradients import Returned, layer_products
from ntkscope.ntk.empirical.plan import Layer, Plan, learning_layers
from ntkscope.ntk.empirical.validation import count_outputs
from ntkscope.ntk.empirical.verification import straight_way, trusted
from ntkscope.ntk.kinds import cotangents, pairs_of


def make_plan(
    model: nn.Module,
    x1: Tensor,
    x2: Tensor | None,
    kind: str,
    force: str | None = None,
    rates: Rates = NOMINAL,
) -> Plan:
    """A plan for a model and all inputs of one shape.

    Args:
        model: maps [N, …] to [N, K].
        x1, x2: inputs, as of `engine.compute_kernels`; two of x1 are looked at.
        kind: one of `kinds.EMPIRICAL_KINDS`.
        force: a strategy to take wherever it is possible.
        rates: by which the cheapest strategy is chosen. The nominal ones choose the same on every
            machine, and so give the same bits in every process.

    Raises:
        ModelError: the kernel is not defined (`validation`).
    """
    outputs = count_outputs(model, x1)
    like = next(p for p in model.parameters() if p.requires_grad)
    plan = Plan(
        model,
        kind,
        (len(x1), 0 if x2 is None else len(x2)),
        learning_layers(model),
        cotangents(kind, outputs, like.detach()),
        pairs_of(kind),
        rates,
    )
    for layer in plan.layers:
        if force == "fallback" or not is_known(layer.module):
            layer.strategy = "fallback"
    returned = trusted(model, plan, x1[:2])
    users = [name for layer in plan.known for name in layer.learns.values()]
    plan.tied = {name for name in users if users.count(name) > 1}
    plan.steps, single = straight_way(model, plan, x1[:2], returned)
    parameters = dict(model.named_parameters())
    for layer in plan.layers:
        own = sum(parameters[name].numel() for name in layer.owns)
        flows = returned.get(layer.name, [])
        _choose(plan, layer, own, flows, force, single=layer.name in single)
    return plan


def _choose(
    plan: Plan, layer: Layer, own: int, returned: Returned, force: str | None, *, single: bool
) -> None:
    """The strategy of a layer, its work, and the memory that its passes and terms take.

    Args:
        plan: to which the layer belongs.
        layer: of which layer.
        own: how many parameters it owns.
        returned: what flows back to it, of the probe.
        force: a strategy to take where it is possible.
        single: one cotangent stands for all.
    """
    item, n = plan.starts.element_size(), min(2, plan.samples[0])
    for call, _ in returned:
        fixed, each = 4 * call.inputs.numel() * item, 2 * call.shape.numel() * item
        plan.working += Need(fixed // n, each // n)
    known = layer.strategy != "fallback" and not plan.is_tied(layer)
    products = layer_products(returned, n) if known else None
    if products is None:
        cotangents = 1 if single else len(plan.starts)
        layer.work = of_product(_sample_pairs(plan) * cotangents, own * _times(plan))
        layer.kept = Need(fixed=own * item) if single else Need(each=own * item)
        plan.working += Need(each=2 * own * item if layer.strategy == "fallback" else 0)
        return
    layer.sizes = replace(_sizes(plan, layer, returned, products), single=single)
    layer.strategy = cheapest(layer.sizes, plan.rates, force)
    layer.work = WORK[layer.strategy](layer.sizes)
    layer.passes = passes_work(layer.sizes)
    layer.kept = _kept(layer, len(returned) == 1 and returned[0][0].top, item)
    plan.working += Need(item * products.inputs[0].numel())


def _sizes(plan: Plan, layer: Layer, returned: Returned, products: OuterProducts) -> Sizes:
    groups, positions, _, outputs = products.gradients.shape[1:]
    image, kernel, module = None, 0, layer.module
    if isinstance(module, nn.Conv1d | nn.Conv2d) and len(returned) == 1:
        window = window_of(module, returned[0][0].inputs)
        image = (math.prod(window.image), module.in_channels // module.groups)
        kernel = sum(window.kernel)
    return Sizes(
        groups,
        positions,
        len(plan.starts),
        outputs,
        products.width,
        image,
        kernel,
        sum(plan.samples),
        _sample_pairs(plan),
        plan.pairs,
    )


def _sample_pairs(plan: Plan) -> float:
    n, m = plan.samples
    return n * m if m else n * (n + 1) / 2


def _times(plan: Plan) -> int:
    """Products of each cotangent."""
    return len(plan.starts) if plan.pairs == "every" else 1


def _kept(layer: Layer, shared: bool, item: int) -> Need:
    """Memory of what is kept of a sample; `shared`: what flows back is the same for all."""
    sizes = layer.sizes
    assert sizes is not None
    back = sizes.groups * sizes.outputs * item
    if layer.strategy == "materialised":
        return _of_cotangents(sizes, back * (sizes.width + 1))
    inputs = sizes.positions * sizes.width
    if layer.strategy == "pixels":
        assert sizes.image is not None
        inputs = math.prod(sizes.image)
    fixed = Need(sizes.groups * inputs * item)
    return fixed if shared else fixed + _of_cotangents(sizes, back * sizes.positions)


def _of_cotangents(sizes: Sizes, each: int) -> Need:
    return Need(fixed=each) if sizes.single else Need(each=each)
