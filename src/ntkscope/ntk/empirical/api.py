"""`empirical_ntk`: the exact kernel of any torch module; `plan_ntk`: what it would take."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ntkscope.errors import ArgumentError, ModelError
from ntkscope.ntk.empirical.arguments import (
    check_choice,
    check_count,
    check_samples,
    refuse_no_samples,
)
from ntkscope.ntk.empirical.backpropagation import Backpropagation
from ntkscope.ntk.empirical.budget import free_bytes, parse_bytes
from ntkscope.ntk.empirical.checked import Checked
from ntkscope.ntk.empirical.engine import compute_kernels
from ntkscope.ntk.empirical.entries import VERIFY, check_entries, is_compared_alone
from ntkscope.ntk.empirical.face import Chosen, Output, in_any_form, is_same_model
from ntkscope.ntk.empirical.foresight import foresee
from ntkscope.ntk.empirical.gram.strategies import STRATEGIES
from ntkscope.ntk.empirical.inputs import Samples, as_one
from ntkscope.ntk.empirical.no_samples import kernels_without_samples
from ntkscope.ntk.empirical.outputs import failures_explained
from ntkscope.ntk.empirical.plan import Plan
from ntkscope.ntk.empirical.planner import make_plan
from ntkscope.ntk.empirical.precision import HALF, cast, cast_model, half_dtype, moved, rounded
from ntkscope.ntk.empirical.state import own, preserve_state
from ntkscope.ntk.empirical.structure import changed, objects, same_objects, structure
from ntkscope.ntk.empirical.throughput import measured_throughput
from ntkscope.ntk.empirical.tuning import TUNING, Tuning
from ntkscope.ntk.empirical.validation import check_model, refuse_nan_inputs, refuse_not_finite
from ntkscope.ntk.kinds import EMPIRICAL_KINDS


class PlanError(ModelError, ValueError):
    """A plan of something else, or of a model that has changed since."""


@in_any_form
def empirical_ntk(
    model: nn.Module,
    x1: Samples,
    x2: Samples | None = None,
    *,
    kind: str = "trace",
    by_layer: bool = False,
    memory: int | str | None = None,
    chunk: int | None = None,
    force: str | None = None,
    plan: Plan | None = None,
    verify: str = "entries",
    output: Output = None,
    parameters: Chosen = None,
) -> Tensor | dict[str, Tensor]:
    """Exact empirical NTK of a torch module (Jacot et al. 2018, section 4).

    Args:
        model: maps [N, …] to [N, K], each sample by itself; left as it was found.
        x1: inputs [N, …], or a tuple or mapping of such tensors, which the model is called with;
            x2: [N2, …] of the same form, or None for x1. N may be 0.
        kind: `trace` (mean over outputs, as neural-tangents has it), `full`, `pseudo` or `diagonal`
            (every output with itself); see `kinds.EMPIRICAL_KINDS`.
        by_layer: a kernel for each module that has parameters of its own; a shared parameter
            belongs to the first.
        memory: budget beside the kernel itself, in bytes or as text ("2GB"): samples, and outputs,
            are taken in parts that fit; the result is the same to rounding, the time may be
            longer. None: half of what is free, or less where that hardly takes longer.
        chunk: samples, at most, in one pass.
        force: for tests: a strategy for all layers that allow it (`strategies.STRATEGIES`).
        plan: of `plan_ntk`, for this model and kind and inputs of this shape; the parameters may
            have changed since. None: strategies by nominal throughput, the same on every machine.
        verify: what of the finished kernel is compared with brute force, a sample and an output at
            a time: some `entries` of samples that are far apart, `all` (slow), or nothing (`off`).
            Of 200 samples or more of a network of known layers in a row, whose formulas are proven
            by the plan, entries are compared with those of a few samples alone. The same inputs
            and parameters are not compared again; where of 200 samples or more only parameters
            have changed since the plan's last kernel, as often as takes 2 % of the time.
        output: where [N, K] is in what the model returns: a key (`"logits"`), an attribute, a place
            in a tuple, or a function of it. None: it is what it returns.
        parameters: the kernel of some only: names of parameters or of modules, or a function of
            (name, parameter); None: of all that learn.

    Returns:
        [N, N2]; [N, K, N2, K] (kind full) or [N, N2, K] (kind diagonal), of which the outputs are
        the outer axes in memory; by_layer: a dict of them that sum to the whole. In the model's
        dtype, exactly symmetric where x2 is None. Of a model in half precision it is computed in
        float32 of the same weights, and rounded once; of parameters of several dtypes it is in the
        widest. Of complex parameters it is the kernel of their real and imaginary parts: the real
        part of Hermitian products. Models that no formula and no transform fits are differentiated
        one sample at a time. An inference mode or autocast around the call has no effect.

    Raises:
        ModelError: a model whose kernel is not defined (batch statistics, active dropout, outputs
            that are random or mix samples, an in-place operation on what a gradient needs, no
            parameters, an output that is not [N, K]), a sample that it fails on, a kernel that is
            not what brute force gives, NaN or infinity in samples or in the kernel (unless verify
            is `off`), or too little memory; the message says what to do.
        PlanError: a plan of something else, or of a model that has changed; a ValueError too.
        ArgumentError: an argument that is none of those allowed (a ValueError, too).

    Example:
        >>> import torch, ntkscope
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(),
        ...                             torch.nn.Linear(16, 3)).double()
        >>> x = torch.randn(6, 4).double()
        >>> kernel = ntkscope.empirical_ntk(model, x)
        >>> kernel.shape
        torch.Size([6, 6])
        >>> layers = ntkscope.empirical_ntk(model, x, by_layer=True)
        >>> list(layers), torch.allclose(sum(layers.values()), kernel)
        (['0', '2'], True)
        >>> full = ntkscope.empirical_ntk(model, x, kind="full")
        >>> full.shape, torch.allclose(torch.einsum("ikjk->ij", full) / 3, kernel)
        (torch.Size([6, 3, 6, 3]), True)
    """
    x1, x2 = as_one(x1), None if x2 is None else as_one(x2)
    _check(model, x1, x2, kind, force, verify)
    check_count("chunk", chunk)
    if memory is not None:
        memory = parse_bytes(memory)
    if plan is not None:
        _check_plan(plan, model, kind)
    if not len(x1) or (x2 is not None and not len(x2)):
        empty = kernels_without_samples(model, x1, x2, kind)
        return empty if by_layer else next(iter(empty.values()))
    half = half_dtype(model) if plan is None or plan.output_vectors.dtype in HALF else None
    if half is not None:
        wide = cast_model(model, torch.float32)
        found = _kernels(
            wide,
            cast(x1, torch.float32),
            cast(x2, torch.float32),
            kind,
            force,
            None if plan is None else moved(plan, wide),
            _How(by_layer, memory, chunk, verify),
        )
        found = {name: rounded(kernel, half) for name, kernel in found.items()}
    else:
        found = _kernels(model, x1, x2, kind, force, plan, _How(by_layer, memory, chunk, verify))
    return found if by_layer else found[""]


@dataclass(frozen=True)
class _How:
    """What does not change the kernel: options of `empirical_ntk`."""

    by_layer: bool
    memory: int | str | None
    chunk: int | None
    verify: str


def _kernels(
    model: nn.Module,
    x1: Tensor,
    x2: Tensor | None,
    kind: str,
    force: str | None,
    plan: Plan | None,
    how: _How,
) -> dict[str, Tensor]:
    """As of `compute_kernels`, planned, and verified as asked."""
    start = time.perf_counter()
    may_change = plan is None or _backpropagation(plan).runs_model
    with preserve_state(model, may_change=may_change), failures_explained(model, x1, x2):
        x1, x2 = own(x1), None if x2 is None else own(x2)
        if how.verify != "off":
            refuse_nan_inputs(model, x1, x2)
        if plan is None:
            plan = make_plan(model, x1, x2, kind, force)
        memory = how.memory
        if memory is None:
            memory = _default(plan, len(x1) + (0 if x2 is None else len(x2)))
        found = compute_kernels(
            model,
            plan,
            x1,
            x2,
            by_layer=how.by_layer,
            memory=memory,
            chunk=how.chunk,
            sparing=how.memory is None,
        )
    if how.verify != "off":
        plan.checked.earn(time.perf_counter() - start)
        _verify(model, plan, found, x1, x2, how)
    return found


def _verify(
    model: nn.Module,
    plan: Plan,
    found: dict[str, Tensor],
    x1: Tensor,
    x2: Tensor | None,
    how: _How,
) -> None:
    every = how.verify == "all"
    for kernel in found.values():
        refuse_not_finite(model, kernel, x1, x2)
    if not every and not plan.checked.is_due(model, x1, x2, (how,)):
        return
    start = time.perf_counter()
    with preserve_state(model, may_change=not is_compared_alone(model, plan, len(x1), every=every)):
        check_entries(model, plan, found, x1, x2, every=every)
    plan.checked.note(model, x1, x2, (how,), time.perf_counter() - start)


@in_any_form
def plan_ntk(
    model: nn.Module,
    x1: Samples,
    x2: Samples | None = None,
    *,
    kind: str = "trace",
    force: str | None = None,
    tuning: Tuning = TUNING,
    output: Output = None,
    parameters: Chosen = None,
) -> Plan:
    """How `empirical_ntk` would go about it: print it, or hand it to `empirical_ntk`.

    The layers' strategies are those that should be fastest by the throughput of this device, which
    is measured once per process (under 0.3 s). Arguments and errors are those of `empirical_ntk`,
    beside `tuning` (`tuning.Tuning`). Formulas are verified on a few samples drawn over x1; unless
    all layers are known ones in a row, all samples' outputs are looked at, each beside several
    others and alone.

    Returns:
        A plan; as text a table of the layers with strategy, FLOPs of their Gram matrices, memory
        of what is kept of all samples, and expected seconds, of passes from some that were timed;
        then what budgets of a quarter of that memory, a sixteenth and a 64th would cost.

    Example:
        >>> import torch, ntkscope
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(),
        ...                             torch.nn.Linear(16, 3))
        >>> x = torch.randn(6, 4)
        >>> plan = ntkscope.plan_ntk(model, x)  # print(plan) shows the costs too
        >>> [(layer.name, layer.strategy) for layer in plan.layers]
        [('0', 'factored'), ('2', 'factored')]
        >>> ntkscope.empirical_ntk(model, x, plan=plan).shape
        torch.Size([6, 6])
    """
    x1, x2 = as_one(x1), None if x2 is None else as_one(x2)
    _check(model, x1, x2, kind, force, "off")
    if not isinstance(tuning, Tuning):
        raise ArgumentError(f"tuning = {tuning!r} is no Tuning", remedy="give one, or leave it out")
    refuse_no_samples(x1, x2)
    half = half_dtype(model)
    of = model if half is None else cast_model(model, torch.float32)
    if half is not None:
        x1, x2 = cast(x1, torch.float32), cast(x2, torch.float32)
    like = next(p for p in of.parameters() if p.requires_grad)
    throughput = measured_throughput(like.device, like.dtype)
    with preserve_state(of), failures_explained(of, x1, x2):
        x1, x2 = own(x1), None if x2 is None else own(x2)
        plan = make_plan(of, x1, x2, kind, force, throughput, tuning)
        foresee(of, plan, x1)
    return plan if of is model else replace(moved(plan, model), structure=structure(model))


def _default(plan: Plan, samples: int) -> int | None:
    """The budget where none is given; None for kernels so small that no look is worth its time."""
    if samples * (plan.working_bytes + plan.gradient_bytes) <= plan.tuning.unasked_bytes:
        return None
    return int(plan.tuning.free_share * free_bytes(plan.output_vectors.device))


def _backpropagation(plan: Plan) -> Backpropagation:
    assert plan.backpropagation is not None
    return plan.backpropagation


def _check_plan(plan: Plan, model: nn.Module, kind: str) -> None:
    if not isinstance(plan, Plan):
        raise ArgumentError(
            f"plan = {plan!r} is no Plan", remedy="give what plan_ntk returned, or leave it out"
        )
    if not is_same_model(plan.model, model) or plan.kind != kind:
        raise PlanError(
            f"the plan is of another model, or of kind {plan.kind!r}",
            where=f"plan, kind = {kind!r}",
            remedy="plan this one: plan_ntk(model, x1, x2, kind=kind)",
        )
    now = objects(model)
    what = None
    if not same_objects(plan.objects, now):
        what = changed(plan.structure, structure(model))
        if what is None:
            plan.objects, plan.checked = now, Checked()
    if what is None and not plan.is_current():
        what = "registered formulas, or trainable parameters"
    if what is not None:
        raise PlanError(
            f"the model has changed since the plan: {what}",
            where="plan",
            remedy="plan it again: plan_ntk(model, x1, x2)",
        )


def _check(
    model: nn.Module,
    x1: Tensor,
    x2: Tensor | None,
    kind: str,
    force: str | None,
    verify: str,
) -> None:
    check_choice("kind", kind, EMPIRICAL_KINDS)
    check_choice("verify", verify, VERIFY)
    if force is not None:
        check_choice("force", force, STRATEGIES)
    check_samples(x1, x2)
    check_model(model)
