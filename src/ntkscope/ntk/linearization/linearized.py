"""`linearize`: f(x; θ₀) + ∂f(x; θ₀)/∂θ · δ, a network that learns with a constant kernel.

J δ is found by going backward through the backward pass (Townsend 2017, "A new trick for
calculating Jacobian vector products"), at the cost of forward-mode derivatives, which some
operations lack.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import vjp
from torch.nn.attention import SDPBackend, sdpa_kernel

from ntkscope.errors import ModelError
from ntkscope.ntk.empirical.api import empirical_ntk
from ntkscope.ntk.empirical.arguments import check_module, check_samples
from ntkscope.ntk.empirical.face import Chosen, Face, Output, learning_only
from ntkscope.ntk.empirical.gradients.autograd import with_tensors, without_fused_attention
from ntkscope.ntk.empirical.inputs import Samples, as_inputs
from ntkscope.ntk.empirical.state import random_states
from ntkscope.ntk.empirical.validation import check_model
from ntkscope.ntk.linearization.gradient_flow import GradientFlow, gradient_flow


def linearize(model: nn.Module, *, output: Output = None, parameters: Chosen = None) -> Linearized:
    """The network linearised at its parameters: f_lin(x; δ) = f(x; θ₀) + ∂f(x; θ₀)/∂θ · δ.

    Its NTK is that of the model at θ₀, whatever δ, and it learns as kernel regression does (Lee et
    al. 2019, section 2.2): train it with any optimiser of torch, or ask for gradient flow in closed
    form. The model is copied: it may change afterwards.

    Args:
        model: maps inputs to [N, K]; in eval mode where it has dropout or batch normalisation.
        output: where [N, K] is in what the model returns, as of `empirical_ntk`.
        parameters: those that move, as of `empirical_ntk`; None: all that learn.

    Returns:
        A module whose parameters are δ, zero at first; see `Linearized`.

    Raises:
        ModelError: no torch module, one that is random or has batch norm by the batch, or nothing
            that learns.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> from ntkscope import linearize
        >>> _ = torch.manual_seed(0)
        >>> model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1)).double()
        >>> x, y = torch.randn(5, 3).double(), torch.randn(5, 1).double()
        >>> linear = linearize(model)
        >>> torch.equal(linear(x), model(x))
        True
        >>> descent = torch.optim.SGD(linear.parameters(), lr=0.01)
        >>> for _ in range(300):
        ...     descent.zero_grad()
        ...     nn.functional.mse_loss(linear(x), y).backward()
        ...     _ = descent.step()
        >>> flow = linear.gradient_flow(x, y)
        >>> bool((linear(x) - flow(300 * 0.01)).abs().max() < 0.01)
        True
    """
    check_module(model)
    check_model(model)
    return Linearized(model, output, parameters)


class Linearized(nn.Module):
    """f(x; θ₀) + ∂f(x; θ₀)/∂θ · δ; made by `linearize`.

    Attributes:
        names: of the model's parameters that move.
        delta: δ, a parameter for each of them.
    """

    def __init__(self, model: nn.Module, output: Output, parameters: Chosen) -> None:
        super().__init__()
        self.__dict__["_face"] = Face(_copied(model), output)
        with learning_only(self._model, parameters):
            chosen = [(n, p) for n, p in self._model.named_parameters() if p.requires_grad]
        for p in self._model.parameters():
            p.grad = None
        self.names = tuple(name for name, _ in chosen)
        self.delta = nn.ParameterList(torch.zeros_like(p) for _, p in chosen)

    def __repr__(self) -> str:
        moving = sum(each.numel() for each in self.delta)
        places = {
            f"{str(each.dtype).removeprefix('torch.')} on {each.device}" for each in self.delta
        }
        return (
            f"Linearized({type(self._model).__name__}: {moving:,} parameters in "
            f"{len(self.names)} tensors, {' and '.join(sorted(places))})"
        )

    @property
    def _model(self) -> nn.Module:
        face: Face = self.__dict__["_face"]
        model: nn.Module = face.__dict__["inner"]
        return model

    def forward(self, x: Samples, delta: Mapping[str, Tensor] | None = None) -> Tensor:
        """Outputs [N, K], differentiable with respect to δ.

        Args:
            x: inputs as of the model, in a tuple or mapping where there are several.
            delta: name → displacement of that parameter, instead of `self.delta`; those not named
                stay at θ₀.

        Raises:
            ModelError: a name that is none of `names`, or a displacement of another shape; a model
                that draws random numbers.
        """
        check_samples(inputs := as_inputs("x", x))
        tangents = dict(zip(self.names, self.delta, strict=True))
        if delta is not None:
            tangents = {n: torch.zeros_like(t) for n, t in tangents.items()} | dict(delta)
            self._check(tangents)
        before = random_states()
        point = {n: p.detach() for n, p in self._model.named_parameters() if n in tangents}
        with torch.enable_grad(), without_fused_attention(), sdpa_kernel(SDPBackend.MATH):
            made = vjp(lambda p: with_tensors(self.__dict__["_face"], p, inputs), point)
            y: Tensor = made[0]
            forth = vjp(lambda c: made[1](c)[0], torch.zeros_like(y))[1]
            (moved,) = forth({n: t.to(point[n]) for n, t in tangents.items()})
            found: Tensor = y + moved
        if any(not torch.equal(a, b) for a, b in zip(before, random_states(), strict=True)):
            raise ModelError(
                "the model's forward draws random numbers: it has no linearisation",
                where=type(self._model).__name__,
                remedy="call model.eval() first; functional dropout needs training=self.training",
            )
        return found if torch.is_grad_enabled() else found.detach()

    def gradient_flow(self, x: Samples, targets: Tensor) -> LinearizedFlow:
        """Its outputs under gradient flow from δ = 0 on `torch.nn.MSELoss()`, in closed form.

        The full NTK of the training samples is computed and decomposed: (N K)² elements.

        Args:
            x: training inputs, N.
            targets: [N, K], as the outputs.
        """
        start, kernel = self._at_start(x), self._kernel(x, None)
        return LinearizedFlow(self, x, gradient_flow(kernel, targets, start))

    def _at_start(self, x: Samples) -> Tensor:
        """f(x; θ₀)."""
        with torch.no_grad():
            y: Tensor = self.__dict__["_face"](as_inputs("x", x))
        return y

    def _kernel(self, x1: Samples, x2: Samples | None) -> Tensor:
        found = empirical_ntk(
            self._model,
            x1,
            x2,
            kind="full",
            output=self.__dict__["_face"].__dict__["output"],
            parameters=self.names,
        )
        assert isinstance(found, Tensor)
        return found

    def _check(self, tangents: Mapping[str, Tensor]) -> None:
        known = {n: t.shape for n, t in zip(self.names, self.delta, strict=True)}
        for name, t in tangents.items():
            if name not in known or t.shape != known[name]:
                raise ModelError(
                    f"delta[{name!r}] of shape {tuple(t.shape)} fits no parameter that moves",
                    where="delta",
                    remedy="give tensors of the parameters' shapes, by the names in `names`",
                )

    def train(self, mode: bool = True) -> Linearized:
        """Does not change the mode that the model was linearised in."""
        self.training = mode
        return self

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Linearized:
        self._model._apply(fn)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self


class LinearizedFlow:
    """Outputs of a linearised network that learns by gradient flow; see `gradient_flow`.

    Args:
        linearized: the network.
        x: training inputs.
        flow: of its full NTK.
    """

    def __init__(self, linearized: Linearized, x: Samples, flow: GradientFlow) -> None:
        self.linearized, self.flow, self._x = linearized, flow, x

    def __repr__(self) -> str:
        return f"LinearizedFlow({self.linearized!r}, {self.flow!r})"

    def __call__(self, t: Any, x: Samples | None = None) -> Tensor:
        """Outputs [N, K] at time t (steps times learning rate; `math.inf`: at convergence).

        Args:
            t: a time, or T times: then [T, N, K].
            x: other inputs; None: those trained on.
        """
        if x is None:
            found: Tensor = self.flow(t)
            return found
        start = self.linearized._at_start(x)
        found = self.flow(t, cross_kernel=self.linearized._kernel(x, self._x), offset=start)
        return found


def _copied(model: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(model)
    except (RuntimeError, TypeError) as error:
        raise ModelError(
            f"the model cannot be copied: {error}",
            where=type(model).__name__,
            remedy="use torch.nn.utils.parametrizations, and keep no tensors with a graph in it",
        ) from error
