"""Every row of docs/recipes.md: its command runs these stages, and no other."""

from __future__ import annotations

import re
import shlex
import subprocess

import pytest

from tests.workflow.project import ROOT, Project

TEXT = (ROOT / "docs/recipes.md").read_text(encoding="utf-8")
RECIPES = {
    what: (commands, stages)
    for what, commands, stages in re.findall(r"^\| (.+) \| `(.+)` \| (.+) \|$", TEXT, re.MULTILINE)
}


def test_there_are_recipes() -> None:
    assert len(RECIPES) >= 7


@pytest.mark.parametrize("what", RECIPES)
def test_a_recipe_runs_what_it_says(project: Project, what: str) -> None:
    commands, stages = RECIPES[what]
    *before, last = commands.split("; ")
    for command in before:
        subprocess.run(command, shell=True, cwd=project.root, check=True)
    snakemake, *words = shlex.split(last)
    assert snakemake == "snakemake"
    assert list(project.plan(*words)) == stages.split(", ")
