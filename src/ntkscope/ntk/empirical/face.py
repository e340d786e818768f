"""A model as it is asked for: its own arguments, one of its outputs, some of its parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from torch import Tensor, nn

from ntkscope.errors import ArgumentError, ModelError
from ntkscope.ntk.empirical.arguments import check_module
from ntkscope.ntk.empirical.inputs import Inputs, as_inputs

Output = str | int | Callable[[Any], Tensor] | None
"""Where [N, K] is in what a model returns: a key, an attribute, a place, or a function of it."""

Chosen = str | Sequence[str] | Callable[[str, nn.Parameter], bool] | None
"""Parameters: names of them or of modules, or a function of (name, parameter)."""

P = ParamSpec("P")
R = TypeVar("R")


class Face(nn.Module):
    """A model that takes `Inputs` and returns [N, K]; its modules are the model's own.

    Args:
        model: any.
        output: where the outputs are in what it returns.
    """

    def __init__(self, model: nn.Module, output: Output) -> None:
        super().__init__()
        self.__dict__["inner"], self.__dict__["output"] = model, output
        for own in ("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set"):
            self.__dict__[own] = getattr(model, own)

    @property
    def training(self) -> bool:
        """The model's mode."""
        return bool(self.__dict__["inner"].training)

    @training.setter
    def training(self, mode: bool) -> None:
        if "inner" in self.__dict__:
            self.__dict__["inner"].training = mode

    def forward(self, x: Any) -> Tensor:
        """[N, K]."""
        model = self.__dict__["inner"]
        if not isinstance(x, Inputs):
            y = model(x)
        elif x.by_keyword:
            y = model(**x.tensors)
        else:
            y = model(*x.tensors.values())
        return _selected(y, self.__dict__["output"])


def original(module: nn.Module) -> nn.Module:
    """What a face is of; any other module itself."""
    found: nn.Module = module.__dict__["inner"] if isinstance(module, Face) else module
    return found


def is_same_model(one: nn.Module, other: nn.Module) -> bool:
    """Whether both are one model, asked for the same output."""
    if isinstance(one, Face) and isinstance(other, Face):
        return all(one.__dict__[key] is other.__dict__[key] for key in ("inner", "output"))
    return one is other


def in_any_form(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function of (model, x1, x2, …, output, parameters) take them as the user has them.

    It is called with a model that maps x1 to [N, K], of which only chosen parameters learn.
    """
    signature = inspect.signature(function)
    place = list(signature.parameters).index("model")

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if _is_plain(args[place:], kwargs):
            check_module(args[place])
            return function(*args, **kwargs)
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        check_module(given["model"])
        for name in ("x1", "x2"):
            given[name] = as_inputs(name, given[name])
        several = any(isinstance(given[name], Inputs) for name in ("x1", "x2"))
        with learning_only(given["model"], given["parameters"]):
            if several or given["output"] is not None:
                given["model"] = _face(given["model"], given["output"])
            return function(*bound.args, **bound.kwargs)

    return call


def _is_plain(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether (model, x1, x2) come first, x1 and x2 are one tensor each, and nothing is chosen."""
    if len(args) < 2 or "output" in kwargs or "parameters" in kwargs:
        return False
    x2 = args[2] if len(args) > 2 else kwargs.get("x2")
    return isinstance(args[1], Tensor) and (x2 is None or isinstance(x2, Tensor))


def _face(model: nn.Module, output: Output) -> Face:
    """Its class is named after the model's, for messages and fingerprints."""
    suffix = output if isinstance(output, str | int) else getattr(output, "__qualname__", "")
    name = type(model).__name__
    own = type(name, (Face,), {"__qualname__": f"{type(model).__qualname__}[{suffix}]"})
    found: Face = own(model, output)
    return found


def _selected(y: Any, output: Output) -> Tensor:
    """The output that is asked for.

    Raises:
        ModelError: it is not there; says what is.
    """
    found: Any = y
    if callable(output):
        found = output(y)
    elif output is not None:
        try:
            attribute = isinstance(output, str) and not isinstance(y, Mapping)
            found = getattr(y, str(output)) if attribute else y[output]
        except (KeyError, IndexError, AttributeError, TypeError) as error:
            fields = y if isinstance(y, Mapping) else getattr(y, "__dataclass_fields__", ())
            there = ", ".join(map(str, fields)) or type(y).__name__
            raise ModelError(
                f"the model's output has no {output!r}",
                where="output",
                remedy=f"give a key, an attribute or a function of what it returns: {there}",
            ) from error
    tensor: Tensor = found
    return tensor


@contextmanager
def learning_only(model: nn.Module, parameters: Chosen) -> Iterator[None]:
    """Let no other parameters learn than some of those that do; None: all that do.

    Raises:
        ModelError: a name that is none, or nothing chosen.
        ArgumentError: neither names nor a function.
    """
    if parameters is None:
        yield
        return
    chosen = _ids(model, parameters)
    others = [p for p in model.parameters() if p.requires_grad and id(p) not in chosen]
    try:
        for p in others:
            p.requires_grad_(False)
        yield
    finally:
        for p in others:
            p.requires_grad_(True)


def _ids(model: nn.Module, parameters: Chosen) -> set[int]:
    """Of the chosen parameters."""
    named = {n: p for n, p in model.named_parameters(remove_duplicate=False) if p.requires_grad}
    if callable(parameters):
        found = {id(p) for name, p in named.items() if parameters(name, p)}
    else:
        wanted = [parameters] if isinstance(parameters, str) else parameters
        if not isinstance(wanted, Sequence) or not all(isinstance(each, str) for each in wanted):
            raise ArgumentError(
                f"parameters = {parameters!r} names none",
                remedy="give names of parameters or of modules, or a function of (name, parameter)",
            )
        found = set().union(*(_named(each, named) for each in wanted))
    if not found:
        raise ModelError(
            "no trainable parameter is chosen",
            where="parameters",
            remedy="choose some of: " + ", ".join(list(named)[:8]),
        )
    return found


def _named(wanted: str, named: dict[str, nn.Parameter]) -> set[int]:
    found = {id(p) for n, p in named.items() if n == wanted or n.startswith(f"{wanted}.")}
    if not found:
        near = get_close_matches(wanted, named, 3, 0.3) or list(named)[:3]
        raise ModelError(
            f"no trainable parameter is called {wanted!r}, and no module with some",
            where="parameters",
            remedy=f"there are: {', '.join(near)}, …",
        )
    return found
