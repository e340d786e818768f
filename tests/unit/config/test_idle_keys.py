"""Keys that are written and have no effect are refused; what a file inherits is not its mistake."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from ntkscope.config import load_config, load_files
from ntkscope.config.idle_keys import idle_keys
from ntkscope.errors import ConfigError
from ntkscope.training.learning_curve.members import look_steps
from tests.workflow.project import MINI

STREAM, CURVE = ("experiments", "reactivation"), ("learning_curves", "scaling")
SINGLE = {"stream": {"kind": "single", "steps": 12}, "analysis": "table"}


@pytest.fixture
def mini() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(MINI.read_text(encoding="utf-8"))
    return found


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`changes` over `base`, section by section; a section with a kind replaces the whole."""
    for key, value in changes.items():
        inner = isinstance(value, dict) and "kind" not in value and isinstance(base.get(key), dict)
        base[key] = merged(base[key], value) if inner else value
    return base


@pytest.mark.parametrize(
    ("changes", "key", "said"),
    [
        ({"snapshots": {"around_boundary": 30}}, "snapshots.around_boundary", "write 12, which"),
        ({"fits": {"window": 14}}, "fits.window", "no task has more than 12"),
        ({"training": {"method_strength": 2.0}}, "training.method_strength", "or set a method"),
        (SINGLE, "fits.window", "the stream has one task, and no boundary"),
        (SINGLE, "snapshots.around_boundary", "or give the stream more tasks"),
        (SINGLE | {"training": {"method": "ewc"}}, "training.method", "no task before another"),
        (
            {"stream": {"kind": "relabel", "tasks": 1, "change": "permute"}, "analysis": "table"},
            *("stream.change", "the stream has one task"),
        ),
    ],
)
def test_of_streams(mini: dict[str, Any], changes: dict[str, Any], key: str, said: str) -> None:
    merged(mini["experiments"]["reactivation"], changes)
    with pytest.raises(
        ConfigError, match=f"{'.'.join(STREAM)}.{key}: it cannot have its eff"
    ) as caught:
        load_config(mini)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "key", "said"),
    [
        ({"learning": {"scaling": "inverse_width"}}, "learning.scaling", "full_rate_width, 64"),
        ({"learning": {"full_rate_width": 4}}, "learning.full_rate_width", "scaling is fixed"),
        (
            {"learning": {"stop": "convergence", "patience": 3.0}},
            "learning.patience",
            "stop: early",
        ),
        ({"learning": {"converged_loss": 0.1}}, "learning.converged_loss", "set stop: convergence"),
        ({"learning": {"batch_size": 100}}, "learning.batch_size", "where there are 80 at most"),
        (
            {"learning": {"snapshots": [], "snapshot_samples": 80}, "kernels": {"during": []}},
            *("learning.snapshot_samples", "give learning.snapshots"),
        ),
        ({"network": {"kind": "myrtle5", "depth": 4}}, "network.depth", "myrtle5 has 5 layers"),
        ({"kernels": {"infinite": False}, "network": {"bias_std": 0.5}}, "network.bias_std", "ntk"),
        (
            {"kernels": {"infinite": False}, "samples": {"infinite": [20, 40, 80]}},
            *("samples.infinite", "kernels.infinite is false"),
        ),
        (
            {"kernels": {"after": [], "during": [], "by_layer": False, "fits": ["own"]}},
            "kernels.fits",
            "",
        ),
        ({"kernels": {"after": []}}, "kernels.by_layer", "no kernels after training"),
        ({"kernels": {"initial": [], "ensemble": 3}}, "kernels.ensemble", "no initial kernels"),
    ],
)
def test_of_learning_curves(
    mini: dict[str, Any], changes: dict[str, Any], key: str, said: str
) -> None:
    merged(mini["learning_curves"]["scaling"], changes)
    with pytest.raises(
        ConfigError, match=f"{'.'.join(CURVE)}.{key}: it cannot have its effect: "
    ) as caught:
        load_config(mini)
    assert said in str(caught.value)


@pytest.mark.parametrize("fits", [{"window": 13}, {}], ids=["written", "default"])
def test_a_window_reaches_over_no_other_boundary(
    mini: dict[str, Any], fits: dict[str, int]
) -> None:
    experiment = mini["experiments"]["reactivation"]
    experiment["stream"] |= {"tasks": 3, "classes_per_task": 3}
    experiment["fits"] = {"window": 12}
    load_config(mini)
    experiment["fits"] = fits
    with pytest.raises(ConfigError, match=r"fits.window: .* a task has 12\n.* at most 12"):
        load_config(mini)


def test_what_one_of_several_uses_is_not_idle(mini: dict[str, Any]) -> None:
    experiment = mini["experiments"]["reactivation"]
    experiment["analysis"], experiment["snapshots"] = "table", {"around_boundary": 20}
    experiment["variants"] = {
        "short": {"stream": {"kind": "class_split", "steps": 12}},
        "long": {"stream": {"kind": "class_split", "steps": 20}},
    }
    experiment["training"] = {"method": ["plain", "ewc"], "method_strength": 2.0}
    curves = mini["learning_curves"]["scaling"]
    curves["analysis"] = "table"
    curves["samples"]["trained"] = [20, 80]
    curves["parts"] = {"with": {}, "without": {"kernels": {"initial": [8]}}}
    mini["learning_curves"]["other"] = {"analysis": "table", "like": "scaling", "kernels": {}}
    mini["learning_curves"]["other"]["fits"] = curves["fits"]
    assert load_config(mini)
    curves["parts"]["with"] = {"kernels": {"initial": [8]}}
    with pytest.raises(ConfigError, match=r"scaling\.samples\.trained: it cannot have its effect"):
        load_config(mini)


def test_a_key_that_cannot_be_removed_is_no_mistake(tmp_path: Path, mini: dict[str, Any]) -> None:
    (tmp_path / "config").mkdir()
    default, own = tmp_path / "config/config.yaml", tmp_path / "own.yaml"
    default.write_text(yaml.safe_dump(mini), encoding="utf-8")
    shorter = {"stream": {"steps": 3}, "snapshots": {"log_spaced": 0}}
    changes = {"preset": "own", "experiments": {"reactivation": shorter}}
    mini["experiments"]["reactivation"]["snapshots"]["around_boundary"] = 12
    default.write_text(yaml.safe_dump(mini), encoding="utf-8")
    own.write_text(yaml.safe_dump(changes), encoding="utf-8")
    assert len(idle_keys(load_files(default, own))) == 1
    shorter["snapshots"]["around_boundary"] = 4
    own.write_text(yaml.safe_dump(changes), encoding="utf-8")
    with pytest.raises(
        ConfigError, match=r"around_boundary: it cannot have its effect(.*\n)*.*own.yaml, li"
    ):
        load_files(default, own)


def test_nor_one_that_other_places_have_made_idle(tmp_path: Path, mini: dict[str, Any]) -> None:
    base, over = tmp_path / "base.yaml", tmp_path / "over.yaml"
    training = {"training": {"method": "ewc", "method_strength": 2.0}}
    merged(mini["experiments"]["reactivation"], training)
    base.write_text(yaml.safe_dump(mini), encoding="utf-8")
    plain: dict[str, Any] = {"experiments": {"reactivation": {"training": {"method": "plain"}}}}
    over.write_text(yaml.safe_dump(plain), encoding="utf-8")
    for files in ((base, over), (over, base)):
        assert load_config(merged(copy.deepcopy(mini), copy.deepcopy(plain)), files)
    said = "method_strength: it cannot have its effect"
    assert load_config(merged(copy.deepcopy(mini), copy.deepcopy(plain)), [base])
    with pytest.raises(ConfigError, match=said):
        given = {"experiments": {"reactivation": {"training": {"method_strength": 3.0}}}}
        load_config(merged(merged(mini, plain), given), [over])
    base.write_text(yaml.safe_dump(mini), encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        load_files(base)


def test_each_step_may_be_looked_at(mini: dict[str, Any]) -> None:
    """More log-spaced evaluations than there are steps: fewer leave some out."""
    merged(mini["learning_curves"]["scaling"], {"learning": {"evaluations": 600}})
    mini["experiments"]["reactivation"]["fits"]["window"] = 13  # 12 and the start
    assert load_config(mini)
    assert len(look_steps(30, 600)) == 30 > len(look_steps(30, 30))
