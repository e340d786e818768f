"""Another workflow, in another folder, imports this one as a module."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from ntkscope.cli import main
from tests.workflow.project import EVERYTHING, MINI, ROOT, Project

SNAKEFILE = """
configfile: "own.yaml"

module ntkscope:
    snakefile: "{root}/workflow/Snakefile"
    config: {config}
    prefix: "ntk"

use rule * from ntkscope
"""
FIGURE = "ntk/figures/mini/reactivation.pdf"
PROFILE = ("--workflow-profile", str(ROOT / "profiles/default"), "--cores", "2")


@pytest.fixture
def importing(tmp_path: Path) -> Project:
    """A workflow that has nothing of this one but its address."""
    return importer(tmp_path, yaml.safe_load(MINI.read_text(encoding="utf-8")))


def importer(folder: Path, config: object, expression: str = 'config["kernels"]') -> Project:
    own = yaml.safe_dump({"title": "another paper", "kernels": config})
    (folder / "own.yaml").write_text(own, encoding="utf-8")
    text = SNAKEFILE.format(root=ROOT, config=expression)
    (folder / "Snakefile").write_text(text, encoding="utf-8")
    return Project(folder, {"PYTHONPATH": str(ROOT / "src")})


def test_all_files_lie_under_the_prefix(importing: Project) -> None:
    assert importing.plan(FIGURE, *PROFILE)["train_task"] == 6
    said = importing.build(FIGURE, "--dry-run", EVERYTHING, *PROFILE)
    for kind in ("input", "output", "log", "benchmark"):
        rows = [line for line in said.splitlines() if line.startswith(f"    {kind}: ")]
        files = [file for row in rows for file in row.split(": ", 1)[1].split(", ")]
        assert files
        assert all(file.startswith("ntk/") or file.endswith("(cached)") for file in files)


def test_the_snippet_of_the_documents_makes_everything(tmp_path: Path) -> None:
    text = (ROOT / "docs/workflow.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"^```\n([^`]*^module ntkscope:[^`]*)^```$", text, re.MULTILINE)
    (tmp_path / "Snakefile").write_text(snippet.replace("/path/to/ntkscope", str(ROOT)), "utf-8")
    (tmp_path / "config").mkdir()
    shutil.copy(MINI, tmp_path / "config/config.yaml")
    plan = Project(tmp_path, {"PYTHONPATH": str(ROOT / "src")}).plan(*PROFILE)
    assert (plan["draw"], plan["draw_curves"]) == (1, 1)


def test_paths_can_be_set(importing: Project) -> None:
    file = importing.root / "Snakefile"
    paths = '    pathvars:\n        results="products",\n        figures="drawn",\n'
    text = file.read_text(encoding="utf-8").replace('    prefix: "ntk"\n', paths)
    file.write_text(text, encoding="utf-8")
    said = importing.build("drawn/mini/reactivation.pdf", "--dry-run", EVERYTHING, *PROFILE)
    assert "products/mini/experiments/reactivation/fits.nc" in said
    assert "results/" not in said


def test_its_configuration_is_checked(tmp_path: Path) -> None:
    done = importer(tmp_path, {"sedes": [0]}).snakemake("--dry-run", *PROFILE)
    assert done.returncode != 0
    assert "did you mean 'seeds'?" in done.stdout
    assert "Traceback" not in done.stdout


def test_without_a_configuration_it_is_the_default(tmp_path: Path) -> None:
    project = importer(tmp_path, None)
    file = project.root / "Snakefile"
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = "".join(line for line in lines if "config:" not in line)
    file.write_text(kept, encoding="utf-8")
    plan = project.plan("ntk/figures/reactivation.pdf", *PROFILE)
    assert plan["train_task"] == 42


def test_a_folder_of_ones_own_is_told_what_a_workflow_is(tmp_path: Path) -> None:
    mine = Project(tmp_path / "mine", {"PYTHONPATH": str(ROOT / "src")})
    main(["new", str(mine.root)])
    said = mine.snakemake("figures/reactivatio.pdf", "--dry-run").stdout
    assert "did you mean 'figures/reactivation.pdf'?" in said
    mine.configure({"sedes": [1]})
    said = mine.snakemake("--dry-run").stdout
    assert "did you mean 'seeds'?" in said
    assert "where: config/config.yaml, line 1" in said


def test_who_runs_in_a_folder_of_ones_own_is_known(tmp_path: Path) -> None:
    mine = Project(tmp_path / "mine", {"PYTHONPATH": str(ROOT / "src")})
    main(["new", str(mine.root)])
    file = mine.root / "Snakefile"
    file.write_text(f'onstart:\n    print("own")\n\n\n{file.read_text("utf-8")}', "utf-8")
    assert "own" in mine.build("results/data/digits.zarr").splitlines()
    assert len(json.loads((mine.root / ".snakemake/heads.json").read_text("utf-8"))) == 1


@pytest.mark.slow
def test_it_draws_the_same_figure_under_the_prefix(importing: Project, finished: Project) -> None:
    importing.build(FIGURE, *PROFILE)
    drawn, expected = importing.root / FIGURE, finished.root / "figures/reactivation.pdf"
    assert drawn.read_bytes() == expected.read_bytes()
    top = {file.name for file in importing.files("[!.]*")}
    assert top == {"Snakefile", "own.yaml", "ntk"}
    assert importing.plan(FIGURE, *PROFILE) == {}
