"""How rules and scripts are built: every rule has what a cluster and a reader need."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest

from tests.workflow.project import ROOT, Project

LOAD = """
import json
from pathlib import Path
from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, ResourceSettings, StorageSettings
from snakemake.settings.types import WorkflowSettings
with SnakemakeApi() as api:
    workflow = api.workflow(
        resource_settings=ResourceSettings(),
        config_settings=ConfigSettings(),
        storage_settings=StorageSettings(),
        workflow_settings=WorkflowSettings(),
        snakefile=Path("Snakefile"),
    )._workflow
    rules = {
        rule.name: {
            "docstring": rule.docstring,
            "log": list(rule.log),
            "benchmark": rule.benchmark,
            "resources": list(rule.resources),
            "params": dict(rule.params.items()),
            "conda": str(rule.conda_env),
            "script": rule.script,
            "forked": workflow.globals["FORKED"].get(Path(rule.script).stem),
        }
        for rule in workflow.rules
        if not rule.norun
    }
print("RULES", json.dumps(rules, default=str))
"""
RULES = (
    "prepare_data",
    "prepare_task",
    "train_task",
    "train_networks",
    "compute_kernels",
    "compute_kernels_part",
    "regress_kernels",
    "measure_kernels",
    "collect_metrics",
    "collect_curves",
    "fit_experiment",
    "fit_curves",
    "write_exponents",
    "write_findings",
    "draw",
    "draw_mechanism",
    "draw_curves",
)
SCRIPTS = sorted(ROOT.glob("scripts/*.py"))
LIBRARY_OF_NUMBERS = {"torch", "numpy", "xarray", "zarr", "scipy", "pandas", "matplotlib"}


@pytest.fixture(scope="module")
def rules() -> Any:
    """What Snakemake knows of every rule that runs something, inherited or not."""
    command = [sys.executable, "-c", LOAD]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("RULES "))
    return json.loads(line.removeprefix("RULES "))


def test_these_are_the_rules(rules: Any) -> None:
    assert set(rules) == set(RULES)


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_has_everything(rules: Any, rule: str) -> None:
    has = rules[rule]
    assert has["docstring"]
    assert [log.split("/")[:2] for log in has["log"]] == [["logs", rule]]
    assert has["benchmark"].startswith(f"results/benchmarks/{rule}/")
    assert {"mem_mb", "runtime"} <= set(has["resources"])
    assert "code" in has["params"]
    assert has["conda"].endswith("environment.yml")
    assert has["script"].startswith("../scripts/")


def test_no_two_rules_share_a_log_or_a_benchmark(rules: Any) -> None:
    for key in ("log", "benchmark"):
        places = [str(has[key]) for has in rules.values()]
        assert len(set(places)) == len(places)


def test_verdicts_are_judged_again_without_the_repeats(rules: Any) -> None:
    params = rules["write_findings"]["params"]  # inputs that are no more run nothing again
    assert params["check_rounding"] is False


def test_every_script_is_of_a_rule(rules: Any) -> None:
    assert {Path(has["script"]).stem for has in rules.values()} == {s.stem for s in SCRIPTS}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_is_thin(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    tree = ast.parse(text)
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
        )
    }
    assert imported & LIBRARY_OF_NUMBERS == set()
    of_fork = 4 * ("run_in_fork()" in text)
    assert 10 <= len(text.splitlines()) - of_fork <= 30
    assert ast.get_docstring(tree)
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def test_what_a_script_calls_is_imported_before_its_fork(rules: Any) -> None:
    asking = {script.stem for script in SCRIPTS if "run_in_fork()" in script.read_text("utf-8")}
    forked = {Path(has["script"]).stem: has["forked"] for has in rules.values() if has["forked"]}
    assert forked.keys() == asking
    assert all(callable(resolve_name(name)) for name in forked.values())


def test_the_door_is_short() -> None:
    assert len((ROOT / "Snakefile").read_text(encoding="utf-8").splitlines()) <= 40


def test_snakemake_finds_nothing_to_lint(project: Project) -> None:
    done = project.snakemake("--lint")
    assert done.returncode == 0, done.stdout
