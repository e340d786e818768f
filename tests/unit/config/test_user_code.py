"""A network of the user's own: its function is found, its sources are part of the identity."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from ntkscope.config import Cell, expand, load_config
from ntkscope.config.specs import ModelSpec, RunSpec
from ntkscope.config.user_code import function_digest
from ntkscope.errors import ConfigError

NETS = """
from helpers import scale
raise RuntimeError("this must not run")

def build(shape, outputs, width=8):
    return scale(width)
"""


@pytest.fixture
def folder(values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a module that must not be imported and one that it imports."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mynets.py").write_text(NETS)
    (tmp_path / "helpers.py").write_text("def scale(width): return width\n")
    return tmp_path


def cells(
    values: dict[str, Any], regimes: tuple[str, ...] = ("feature",), **model: Any
) -> list[Cell]:
    experiment = {**values["experiments"]["reactivation"], "analysis": "table"}
    experiment["model"] = {"kind": "module", "function": "mynets:build", **model}
    experiment["regimes"] = list(regimes)
    return expand(load_config({**values, "experiments": {"own": experiment}}), "own")


def test_arguments_are_swept_and_reach_the_spec(folder: Path, values: dict[str, Any]) -> None:
    made = cells(values, arguments={"width": [4, 8], "residual": [True, False], "name": "x"})
    assert [cell.axes for cell in made] == [
        {"regime": "feature", "width": width, "residual": residual}
        for width in (4, 8)
        for residual in (True, False)
    ]
    model = made[-1].run.model
    assert (model.width, model.function) == (8, "mynets:build")
    assert model.arguments == {"width": 8, "residual": False, "name": "x"}
    assert RunSpec.model_validate(made[-1].run.model_dump(mode="json")) == made[-1].run
    assert len({cell.run for cell in made}) == len({cell.run.id for cell in made}) == 4
    assert "mynets" not in sys.modules


def test_the_rate_may_follow_an_argument_called_width(folder: Path, values: dict[str, Any]) -> None:
    (cell,) = cells(values, ("lazy",), arguments={"width": 128})
    assert cell.run.optimizer.learning_rate == pytest.approx(0.1)


@pytest.mark.parametrize("edited", ["mynets.py", "helpers.py"])
def test_an_edit_of_its_sources_makes_another_run(
    edited: str, folder: Path, values: dict[str, Any]
) -> None:
    (before,) = cells(values)
    (folder / "other.py").write_text("nothing = 0\n")
    (same,) = cells(values)
    with (folder / edited).open("a") as file:
        file.write("more = 1\n")
    (after,) = cells(values)
    assert before.run.id == same.run.id != after.run.id


def test_modules_of_a_package_count_by_relative_imports(folder: Path) -> None:
    package = folder / "nets" / "deep"
    package.mkdir(parents=True)
    (folder / "nets" / "__init__.py").write_text("")
    (folder / "nets" / "blocks.py").write_text("a = 1\n")
    (package / "__init__.py").write_text("from ..blocks import a\nclass Net: ...\n")
    before = function_digest("nets.deep:Net", "model")
    (folder / "nets" / "blocks.py").write_text("a = 2\n")
    assert function_digest("nets.deep:Net", "model") != before


def test_an_installed_package_counts_without_what_it_imports(folder: Path) -> None:
    assert len(function_digest("pydantic.fields:Field", "model")) == 64


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ({"function": "mynet:build"}, "there is no module 'mynet' (searched: "),
        ({"function": "mynets.py:build"}, "to do: leave .py out: mynets:build"),
        ({"function": "mynets.deep:build"}, "there is no module 'mynets.deep'"),
        ({"function": "mynets:bild"}, "mynets.py has no function 'bild'; did you mean 'build'?"),
        ({"function": "broken:build"}, "broken.py is not Python"),
        ({"arguments": {"width": 0.5}}, "the argument width = 0.5 is no size"),
        ({"arguments": {"change": [1, 2]}}, "two sweeps are called change"),
    ],
)
def test_mistakes_are_told_before_any_job(
    model: dict[str, Any], says: str, folder: Path, values: dict[str, Any]
) -> None:
    (folder / "broken.py").write_text("def build(:\n")
    values["experiments"]["reactivation"]["stream"]["change"] = ["abrupt", "gradual"]
    values["experiments"]["reactivation"]["training"]["sampling"] = "independent"
    with pytest.raises(ConfigError) as caught:
        cells(values, **model)
    assert says in str(caught.value)
    assert "to do: " in str(caught.value)


@pytest.mark.parametrize("regime", ["lazy", "ntk"])
def test_a_regime_that_it_cannot_follow_is_refused(
    regime: str, folder: Path, values: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match="use parametrisation: standard and scaling: fixed"):
        cells(values, (regime,))


def test_fields_that_came_later_change_no_older_identity() -> None:
    dumped = ModelSpec(kind="mlp", depth=2, width=8).model_dump(mode="json")
    assert set(dumped) == {
        *("kind", "depth", "width", "activation", "bias"),
        *("parametrisation", "weight_std", "bias_std"),
    }
