"""What a model's outputs have to be, and why it may not take its inputs."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ntkscope.errors import ModelError, NtkscopeError
from ntkscope.ntk.empirical.face import original


class ForwardError(ModelError, RuntimeError):
    """The model's own code, or torch in it, fails on the inputs."""


def in_place_error(where: str) -> ModelError:
    """The error about an in-place operation on a tensor that the gradient needs."""
    return ModelError(
        "an in-place operation changed a tensor that the gradient needs",
        where=where,
        remedy="write it out of place in the model's forward: x = x + y, not x += y",
    )


@contextmanager
def failures_explained(model: nn.Module, x1: Tensor, x2: Tensor | None = None) -> Iterator[None]:
    """Say which sample the model fails on, where it or torch in it does, and what to do.

    Raises:
        ForwardError, ModelError: for an error that says neither.
    """
    try:
        yield
    except NtkscopeError:
        raise
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if "inplace operation" in str(error):
            raise in_place_error(type(model).__name__) from error
        ours = not isinstance(error, _OF_MODELS) or _is_raised_here(error)
        if ours or "can't allocate memory" in str(error):
            raise
        raise _failure(model, (("x1", x1), ("x2", x2)), error) from error


_OF_MODELS = (RuntimeError, ValueError, IndexError, KeyError, TypeError, AttributeError)
"""What torch and a model's own code raise for inputs that do not fit."""
_TRIED = 4096  # samples


def _failure(
    model: nn.Module, inputs: tuple[tuple[str, Tensor | None], ...], error: Exception
) -> ModelError:
    for name, x in inputs:
        for i in range(0 if x is None else min(len(x), _TRIED)):
            assert x is not None
            try:
                with torch.no_grad():
                    called(model, x[i : i + 1].clone())
            except ForwardError as found:
                what = found.what.replace("a sample", f"sample {i} of {name},", 1)
                return ForwardError(what, where=found.where, remedy=found.remedy)
    return ForwardError(
        f"the model fails: {_first_line(error)}",
        where=type(model).__name__,
        remedy="each sample passes its forward by itself: look at what it does to several, or in "
        "its backward pass",
    )


def _is_raised_here(error: Exception) -> bool:
    """By this package, as about an argument."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith(
        "ntkscope."
    )


def _first_line(error: Exception) -> str:
    words = str(error).strip()
    return f"{type(error).__name__}: {words.splitlines()[0] if words else 'no message'}"


def called(model: nn.Module, x: Tensor) -> Tensor:
    """The model's outputs.

    Raises:
        ForwardError: the model fails on them; says what may be wrong with the inputs.
    """
    try:
        y: Tensor = model(x)
    except NtkscopeError:
        raise
    except Exception as error:
        text = str(error)
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or "inplace operation" in text:
            raise
        raise ForwardError(
            f"the model fails on a sample of {_described(x)}: {_first_line(error)}",
            where=f"{type(model).__name__}.forward",
            remedy=_remedy(model, x, error),
        ) from error
    return y


def refuse_output(model: nn.Module, y: Any) -> None:
    """Whether y, of one sample, is no vector of outputs that has a kernel.

    Raises:
        ModelError: not [1, K] of real floating-point numbers, K > 0, that depend on what learns.
    """
    where = type(model).__name__
    if not isinstance(y, Tensor) or y.ndim != 2 or len(y) != 1:
        shape = f"shape {tuple(y.shape)}" if isinstance(y, Tensor) else f"type {type(y).__name__}"
        raise ModelError(
            f"the model's output for one sample has {shape}, not shape (1, K)",
            where=where,
            remedy="wrap it in a module that returns logits [N, K], or say by output= where they "
            "are: a key, an attribute or a function of what it returns",
        )
    problem, remedy = "", ""
    if y.shape[1] == 0:
        problem, remedy = "no outputs: K = 0", "return at least one number for each sample"
    elif y.is_complex():
        problem, remedy = "complex outputs", "return torch.view_as_real(y).flatten(1)"
    elif not y.is_floating_point():
        problem = f"outputs of dtype {y.dtype}, which have no gradient"
        remedy = "return the logits, not the classes that they stand for"
    elif not any(parameter.requires_grad for parameter in model.parameters()):
        problem = "no trainable parameter: requires_grad is False of all"
        remedy = "have those require gradients whose kernel you want: model.requires_grad_()"
    elif not y.requires_grad:
        problem = "outputs that do not depend on any trainable parameter, as autograd sees it"
        remedy = "look for no_grad, detach or .data in its forward, or in a wrapper around it"
    elif y.dtype.itemsize == 2 and all(w.dtype.itemsize > 2 for w in model.parameters()):
        problem = f"outputs of {y.dtype}, less precise than every parameter"
        remedy = "turn autocast in its forward off (enabled=False), and return what it calculates"
    if problem:
        raise ModelError(f"the model has {problem}", where=where, remedy=remedy)


def _described(x: Any) -> str:
    tensors = getattr(x, "tensors", None)
    if tensors is not None:
        return "; ".join(f"{name}: {_described(t)}" for name, t in tensors.items())
    return f"shape {tuple(x.shape[1:])}, {x.dtype}, on {x.device}"


def _remedy(model: nn.Module, x: Any, error: Exception) -> str:
    """What to do first, as far as arguments, dtypes and devices tell."""
    if isinstance(error, TypeError) and "argument" in str(error):
        signature = inspect.signature(original(model).forward)
        return (
            f"give what its forward takes, {signature}: as a mapping by name, as a tuple in order"
        )
    for p in model.parameters():
        if p.device != x.device:
            return f"move the inputs to the model: x.to({str(p.device)!r})"
        real = isinstance(x, Tensor) and x.is_floating_point() and p.is_floating_point()
        if real and p.dtype != x.dtype:
            return f"convert the inputs: x.to({p.dtype}), or the model: model.to({x.dtype})"
    return "call model(x1[:1]) by itself: it has to take one sample as well as many"
