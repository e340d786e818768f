"""How a model's kernel will be taken: its layers that learn, and the strategy of each."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor, nn


@dataclass
class Layer:
    """A module with parameters of its own that learn.

    Attributes:
        name: in the model.
        module: itself.
        learns: attribute → first name of that parameter in `model.named_parameters()`.
        owns: those names that are first met here; the layer's kernel is of them.
        strategy: one of `strategies.STRATEGIES`.
    """

    name: str
    module: nn.Module
    learns: dict[str, str]
    owns: list[str]
    strategy: str = "materialised"


@dataclass
class Plan:
    """All layers, and what they need.

    Attributes:
        layers: in the model's order.
        starts: cotangents [R, K].
        full: whether all pairs of cotangents are wanted.
        mapped: whether the fallback may take all samples at once.
        tied: names of parameters that several known layers use.
        working_bytes: what a forward and backward pass takes for each sample, about.
        term_bytes: what a sample's terms take.
    """

    layers: list[Layer]
    starts: Tensor
    full: bool
    mapped: bool = True
    tied: set[str] = field(default_factory=set)
    working_bytes: int = 0
    term_bytes: int = 0

    @property
    def known(self) -> list[Layer]:
        """Layers with a formula of their own."""
        return [layer for layer in self.layers if layer.strategy != "fallback"]

    @property
    def strays(self) -> list[str]:
        """Parameters that are left to the fallback."""
        return [n for layer in self.layers if layer.strategy == "fallback" for n in layer.owns]

    def is_tied(self, layer: Layer) -> bool:
        """Whether another known layer shares a parameter with this one."""
        return not self.tied.isdisjoint(layer.learns.values())


def learning_layers(model: nn.Module) -> list[Layer]:
    """Every module that has parameters of its own that learn; shared ones belong to the first."""
    names = {id(p): name for name, p in model.named_parameters()}
    met: set[str] = set()
    found = []
    for name, module in model.named_modules():
        own = module.named_parameters(recurse=False)
        learns = {attr: names[id(p)] for attr, p in own if p.requires_grad}
        if learns:
            owns = [n for n in dict.fromkeys(learns.values()) if n not in met]
            found.append(Layer(name, module, learns, owns))
            met |= set(owns)
    return found
