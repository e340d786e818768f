"""`import ntkscope` costs next to nothing and gives each name of its face when it is asked for."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ntkscope
from ntkscope.errors import MissingExtraError
from ntkscope.runtime.imports import need_extra

FACE = {
    *("empirical_ntk", "plan_ntk", "write_ntk", "infinite_ntk", "infinite_nngp"),
    *("NTKOperator", "largest_eigenvalue", "xtrace", "KernelRidge", "register_layer"),
    *("linearize", "gradient_flow"),
    *("cka", "cka_distance", "velocity", "alignment", "spectral_norm"),
    *("read_store", "__version__", "Watch", "ShiftDetector", "compare", "open_kernels"),
}
HEAVY = ("torch", "numpy", "scipy", "xarray", "zarr", "pydantic", "matplotlib")


def loaded(code: str) -> set[str]:
    """The heavy libraries that a new interpreter has after some code."""
    command = f"{code}\nimport sys; print(*(m for m in {HEAVY} if m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_the_import_loads_no_library_and_takes_under_a_tenth_of_a_second() -> None:
    timed = "import time; t = time.perf_counter(); import ntkscope; "
    assert loaded(timed + "assert time.perf_counter() - t < 0.1") == set()


def test_the_face_is_complete_and_each_name_is_there() -> None:
    assert set(ntkscope.__all__) == FACE
    assert set(dir(ntkscope)) >= FACE
    for name in FACE:
        assert getattr(ntkscope, name) is getattr(ntkscope, name)
    assert ntkscope.cka is sys.modules["ntkscope.metrics"].cka
    with pytest.raises(AttributeError, match="no attribute 'neural_tangents'"):
        _ = ntkscope.neural_tangents


@pytest.mark.parametrize("package", ["", "ntk", "metrics"])
def test_what_type_checkers_see_is_what_is_given(package: str) -> None:
    folder = Path(ntkscope.__file__).parent / package
    tree = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    (given,) = [node for node in ast.walk(block.orelse[1]) if isinstance(node, ast.Dict)]
    assert ast.literal_eval(given) == seen


def test_metrics_need_neither_torch_nor_the_workflow() -> None:
    assert loaded("from ntkscope import cka, velocity, alignment") <= {"numpy"}
    assert loaded("from ntkscope import read_store") <= {"numpy", "zarr"}


def test_a_kernel_loads_no_regression_operator_or_infinite_width() -> None:
    code = "from ntkscope import empirical_ntk; import sys; " + "; ".join(
        f"assert 'ntkscope.ntk.{part}' not in sys.modules, '{part}'"
        for part in ("infinite", "linearization", "operator", "regression", "tiled")
    )
    assert loaded(code) <= {"torch", "numpy"}


def test_a_library_that_is_missing_is_asked_for_by_its_extra() -> None:
    need_extra("workflow", "here", "json")
    with pytest.raises(MissingExtraError, match=r"needs no_such.*\n.*\n.*'ntkscope\[workflow\]'"):
        need_extra("workflow", "here", "json", "no_such")
