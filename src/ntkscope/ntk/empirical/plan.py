"""How a model's kernel will be computed: its layers that learn, and the strategy of each."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn

from ntkscope.errors import ModelError
from ntkscope.ntk.empirical.backpropagation import Backpropagation
from ntkscope.ntk.empirical.budget import BytesPerSample
from ntkscope.ntk.empirical.checked import Checked
from ntkscope.ntk.empirical.costs import REFERENCE_THROUGHPUT, Cost, LayerShape, Throughput
from ntkscope.ntk.empirical.gradients.registry import LayerRule, rule_of
from ntkscope.ntk.empirical.rounding import UNKNOWN, Rounding
from ntkscope.ntk.empirical.structure import Structure
from ntkscope.ntk.empirical.tuning import TUNING, Tuning
from ntkscope.ntk.kinds import OutputPairs


@dataclass
class PlannedLayer:
    """A module with parameters of its own that learn.

    Attributes:
        module_name: in the model.
        module: itself.
        learns: attribute → first name of that parameter in `model.named_parameters()`.
        owns: those names that are first met here; the layer's kernel is of them.
        strategy: one of `strategies.STRATEGIES`.
        shape: where it is made of outer products.
        cost: of its Gram matrix, and of the gradients where they are made.
        passes: of its share in the forward and backward pass.
        kept: memory of what is kept of each sample.
        rule: the formula that was registered for its class.
        rows: of its input for each sample, in each of its calls; None: not known yet.
        rejected: autograd contradicts that formula, and has taken its place.
        part: of the module, whose other parameters are by themselves: its first parameter.
        one_position: of each sample's positions one alone has a gradient, and is kept.
        by_use: its calls are the uses of its parameters (`gradients.uses`).
    """

    module_name: str
    module: nn.Module
    learns: dict[str, str]
    owns: list[str]
    strategy: str = "materialised"
    shape: LayerShape | None = None
    cost: Cost = field(default_factory=Cost)
    passes: Cost = field(default_factory=Cost)
    kept: BytesPerSample = field(default_factory=BytesPerSample)
    rule: LayerRule | None = None
    rows: tuple[int, ...] | None = None
    rejected: bool = False
    part: str = ""
    by_use: bool = False
    one_position: bool = False

    @property
    def name(self) -> str:
        """The module's, or its parameter's if it is a part of the module."""
        return self.part or self.module_name


@dataclass
class Plan:
    """All layers, and what they need. Printed, a table of them.

    Attributes:
        model: whose kernel it is.
        kind: `kinds.EMPIRICAL_KINDS`.
        samples: rows and columns that the strategies were chosen for.
        layers: in the model's order.
        output_vectors: [R, K], whose gradients are back-propagated.
        pairs: which pairs of them are wanted.
        throughput: of the device, as it was taken to be.
        vmap_safe: whether the fallback may take all samples at once.
        order: of the calls of known layers that are modules; None: not known yet.
        tied: names of parameters that several known layers use.
        backpropagation: the way to the output gradients (`planner`).
        tuning: what else decides about speed and memory.
        working: memory that a forward and backward pass takes for each sample, about.
        pass_seconds: of all forward and backward passes, as foreseen from timed ones (`foresight`).
        budgets: of memory in bytes, and how many times as long the kernel takes within them.
        rounding: what it can do to the model's numbers.
        in_doubt: a difference was seen that may be rounding, and was not let through.
        doubt: the refusal that such a difference would be, were it none.
        checked: what finished kernels were compared with brute force (`entries`).
        structure: of the model, which must not have changed.
        objects: that it was made of, for a quick look.
    """

    model: nn.Module
    kind: str
    samples: tuple[int, int]
    layers: list[PlannedLayer]
    output_vectors: Tensor
    pairs: OutputPairs
    throughput: Throughput = REFERENCE_THROUGHPUT
    vmap_safe: bool = True
    order: list[str] | None = None
    tied: set[str] = field(default_factory=set)
    backpropagation: Backpropagation | None = None
    tuning: Tuning = TUNING
    working: BytesPerSample = field(default_factory=BytesPerSample)
    pass_seconds: float | None = None
    budgets: list[tuple[int, float]] = field(default_factory=list)
    rounding: Rounding = UNKNOWN
    in_doubt: bool = False
    doubt: ModelError | None = None
    checked: Checked = field(default_factory=Checked)
    structure: Structure = field(default_factory=dict)
    objects: tuple[list[Any], list[Any]] = field(default_factory=lambda: ([], []))

    def of_outputs(self, output_vectors: Tensor) -> Plan:
        """The same with some of the output vectors, or with all of them."""
        if len(output_vectors) == len(self.output_vectors):
            return self
        return replace(self, output_vectors=output_vectors)

    def is_current(self) -> bool:
        """Whether formulas are those registered, and parameters learn and are shared as then."""
        met: dict[str, int] = {}
        for layer in self.layers:
            if layer.rule is not rule_of(layer.module):
                return False
            for attr, name in layer.learns.items():
                p = layer.module._parameters.get(attr)
                if p is None or not p.requires_grad or met.setdefault(name, id(p)) != id(p):
                    return False
        return len(set(met.values())) == len(met)

    @property
    def full(self) -> bool:
        """Whether all pairs of output vectors are wanted."""
        return self.pairs == "full"

    @property
    def known(self) -> list[PlannedLayer]:
        """Layers with a formula of their own."""
        return [layer for layer in self.layers if layer.strategy != "fallback"]

    @property
    def runs_model(self) -> bool:
        """Whether the model's own code runs on the way to the output gradients."""
        return self.backpropagation is None or self.backpropagation.runs_model

    @property
    def captures(self) -> bool:
        """Whether parameters are captured where they are used."""
        return self.backpropagation is not None and self.backpropagation.captures

    @property
    def fallback_parameters(self) -> list[str]:
        """Parameters that are left to the fallback."""
        return [n for layer in self.layers if layer.strategy == "fallback" for n in layer.owns]

    @property
    def working_bytes(self) -> int:
        """What a forward and backward pass takes for each sample, about."""
        return self.working.total(len(self.output_vectors))

    @property
    def gradient_bytes(self) -> int:
        """What is kept of each sample."""
        return sum(layer.kept.total(len(self.output_vectors)) for layer in self.layers)

    @property
    def cost(self) -> Cost:
        """Of all layers, and the products of the forward and backward pass."""
        return sum((layer.cost + layer.passes for layer in self.layers), Cost())

    @property
    def seconds(self) -> float:
        """Expected time, where everything that is kept fits into memory."""
        products = sum((layer.cost for layer in self.layers), Cost())
        return self.throughput.seconds(products) + self._pass_seconds

    @property
    def _pass_seconds(self) -> float:
        if self.pass_seconds is not None:
            return self.pass_seconds
        return self.throughput.seconds(sum((layer.passes for layer in self.layers), Cost()))

    def is_tied(self, layer: PlannedLayer) -> bool:
        """Whether another known layer shares a parameter with this one."""
        return not self.tied.isdisjoint(layer.learns.values())

    def __repr__(self) -> str:
        outputs, name = self.output_vectors, type(self.model).__name__
        dtype = str(outputs.dtype).removeprefix("torch.")
        return f"Plan({name}, {dtype} on {outputs.device}): {self}"

    def __str__(self) -> str:
        n, m = self.samples
        rows = [("layer", "strategy", "GFLOP", "MB", "seconds")]
        total = sum((layer.passes for layer in self.layers), Cost())
        for layer in self.layers:
            if layer.owns:
                held = layer.kept.total(len(self.output_vectors)) * (n + m)
                seconds = self.throughput.seconds(layer.cost)
                rows.append(_row(layer.name, layer.strategy, layer.cost, held, seconds))
        rows.append(_row("passes", "", total, None, self._pass_seconds))
        rows.append(_row("all", "", self.cost, self.gradient_bytes * (n + m), self.seconds))
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = [_aligned(row, widths) for row in rows]
        inputs = f"{n} samples" if not m else f"{n} × {m} samples"
        lines += [
            f"{name or '(model)'}: autograd is used, which its formula does not agree with here"
            for name in dict.fromkeys(each.module_name for each in self.layers if each.rejected)
        ]
        lines += ["with less memory:"] if self.budgets else []
        lines += [
            f'  memory="{most / 1e6:.3g}MB": {self.seconds * times:.2g} s'
            for most, times in self.budgets
        ]
        return "\n".join([f"{self.kind} NTK of {inputs}", *lines])


def _row(
    name: str, strategy: str, cost: Cost, held: int | None, seconds: float
) -> tuple[str, str, str, str, str]:
    megabytes = "" if held is None else f"{held / 1e6:.1f}"
    flops = f"{cost.flops / 1e9:.3g}"
    return name or "(model)", strategy, flops, megabytes, f"{seconds:.2g}"


def _aligned(row: tuple[str, ...], widths: list[int]) -> str:
    """Words to the left, figures to the right."""
    words = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
    numbers = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
    return "  ".join(words + numbers)


def layers_that_learn(model: nn.Module) -> list[PlannedLayer]:
    """Every module that has parameters of its own that learn; shared ones belong to the first."""
    names = {id(p): name for name, p in model.named_parameters()}
    met: set[str] = set()
    found = []
    for name, module in model.named_modules():
        own = module.named_parameters(recurse=False)
        learns = {attr: names[id(p)] for attr, p in own if p.requires_grad}
        if learns:
            owns = [n for n in dict.fromkeys(learns.values()) if n not in met]
            found.append(PlannedLayer(name, module, learns, owns, rule=rule_of(module)))
            met |= set(owns)
    return found
