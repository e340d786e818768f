"""A wrong argument of the library's face is an error of the package: what, where, what to do."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import ntkscope
from ntkscope.errors import NtkscopeError

NOT_TRIED = {
    "store": "what is no path is Python's own TypeError",
    "compile": "whatever is true compiles, for seconds",
    "options": "those of infinite_ntk",
}

CAUGHT = {
    *("config/streams.py", "data/sources/cifar5m.py", "data/sources/files.py"),
    *("data/sources/npz.py", "identity.py", "ntk/infinite/graph/probes.py", "stores/netcdf.py"),
}
"""Modules whose own ValueErrors and TypeErrors their callers turn into errors of the package."""


NAMES = (
    *("empirical_ntk", "plan_ntk", "infinite_ntk", "infinite_nngp", "NTKOperator", "Watch"),
    *("largest_eigenvalue", "xtrace", "linearize", "gradient_flow", "ShiftDetector"),
    *("cka", "cka_distance", "velocity", "alignment", "spectral_norm"),
)


@cache
def calls() -> dict[str, tuple[Any, ...]]:
    """Name → arguments by place that are right."""
    net, x = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), torch.randn(5, 3)
    kernel, operator = ntkscope.empirical_ntk(net, x), ntkscope.NTKOperator(net, x)
    stacked = torch.stack([kernel, kernel])
    return {
        **dict.fromkeys(("empirical_ntk", "plan_ntk", "infinite_ntk", "infinite_nngp"), (net, x)),
        **dict.fromkeys(("largest_eigenvalue", "xtrace"), (operator,)),
        **dict.fromkeys(("cka", "cka_distance"), (kernel, kernel)),
        **{"NTKOperator": (net, x), "Watch": (net, x), "linearize": (net,), "ShiftDetector": ()},
        **{"gradient_flow": (kernel, torch.randn(5)), "spectral_norm": (kernel,)},
        **{"velocity": (stacked, [0, 1]), "alignment": (kernel, torch.randn(5, 2))},
    }


def wrong(name: str) -> Iterator[tuple[str, Any, tuple[Any, ...], dict[str, Any]]]:
    """Each argument in turn as what it is not."""
    right = calls()[name]
    for place, key in enumerate(inspect.signature(getattr(ntkscope, name)).parameters):
        for bad in ("foo", -3, 3.7, [], None, object()):
            if place < len(right):
                yield key, bad, (*right[:place], bad, *right[place + 1 :]), {}
            elif key not in NOT_TRIED:
                yield key, bad, right, {key: bad}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore")
def test_a_wrong_argument_is_an_error_of_the_package_or_none(name: str) -> None:
    for key, bad, by_place, by_name in wrong(name):
        try:
            getattr(ntkscope, name)(*by_place, **by_name)
        except NtkscopeError as error:
            assert error.remedy, f"{key} = {bad!r}: {error}"


@pytest.mark.parametrize("grid", [-3, "foo", [], [0.0]])
def test_a_grid_of_ridges_is_positive_numbers(grid: Any) -> None:
    with pytest.raises(NtkscopeError, match="to do"):
        ntkscope.KernelRidge(grid=grid).fit(torch.eye(5), torch.ones(5))


@pytest.mark.parametrize("steps", [[0, None], ["a", "b"], [0, float("nan")], [1, 0]])
def test_velocity_is_of_steps_that_increase(steps: Any) -> None:
    with pytest.raises(NtkscopeError, match="steps"):
        ntkscope.velocity(torch.eye(4).expand(2, 4, 4), steps)


def test_no_module_raises_a_bare_error_that_a_user_meets() -> None:
    package = Path(ntkscope.__file__).parent
    found = {
        file.relative_to(package).as_posix()
        for file in package.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and getattr(node.exc.func, "id", "") in ("ValueError", "TypeError")
    }
    assert found <= CAUGHT, f"raise ArgumentError, or another of errors.py: {found - CAUGHT}"
