"""How rules and scripts are built: every rule has what a cluster and a reader need."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.workflow.project import ROOT, Project

SPLIT = re.compile(r"^rule (\w+):\n((?:(?:    .*)?\n)+)", re.MULTILINE)
RULES = {
    name: body
    for file in sorted(ROOT.glob("rules/*.smk"))
    for name, body in SPLIT.findall(file.read_text(encoding="utf-8"))
}
SCRIPTS = sorted(ROOT.glob("scripts/*.py"))
LIBRARY_OF_NUMBERS = {"torch", "numpy", "xarray", "zarr", "scipy", "pandas", "matplotlib"}


def section(rule: str, name: str) -> str:
    """A directive of a rule, with all that is indented below it."""
    found = re.search(
        rf"^    {name}:(.*\n(?:(?:        .*)?\n)*)", RULES[rule] + "\n", re.MULTILINE
    )
    return found[1] if found else ""


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_has_everything(rule: str) -> None:
    assert RULES[rule].lstrip().startswith('"""')
    for name in ("output", "retries", "params"):
        assert section(rule, name), name
    assert f"logs/{rule}/" in section(rule, "log")
    assert f"results/benchmarks/{rule}/" in section(rule, "benchmark")
    assert "mem_mb=" in section(rule, "resources")
    assert "runtime=" in section(rule, "resources")
    assert '"../environment.yml"' in section(rule, "conda")
    assert re.search(r'stage=stage_digest\("\w+"(, "[\w.]+")?\)', section(rule, "params"))
    assert f'"../scripts/{rule}.py"' in section(rule, "script")


def test_every_script_is_of_a_rule() -> None:
    assert [script.stem for script in SCRIPTS] == sorted(RULES)


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
    assert 10 <= len(text.splitlines()) <= 30
    assert ast.get_docstring(tree)
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def test_the_door_is_short() -> None:
    assert len((ROOT / "Snakefile").read_text(encoding="utf-8").splitlines()) <= 40


def test_snakemake_finds_nothing_to_lint(project: Project) -> None:
    done = project.snakemake("--lint")
    assert done.returncode == 0, done.stdout
