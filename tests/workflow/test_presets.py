"""The presets and profiles that come with the workflow, by dry runs; two presets side by side."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from ntkscope.cli.new import make
from tests.workflow.project import EVERYTHING, ROOT, Project, planned
from tests.workflow.test_structure import RULES


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The workflow as it comes, with nothing made."""
    return Project.make(tmp_path_factory.mktemp("shipped") / "project", None)


def jobs(widths: int) -> dict[str, int]:
    """Three regimes, of which two are one at width 128; a run, its twin and what they share."""
    cells = 3 * widths - 1
    return {
        "prepare_data": 1,
        "train_task": 3 * cells,
        "compute_kernels": 3 * cells,
        "measure_kernels": 2 * cells,
        "collect_metrics": 1,
        "fit_experiment": 1,
        "draw": 1,
    }


def blocks(said: str, rule: str) -> list[str]:
    """What a dry run says of each job of a rule."""
    return re.findall(rf"^rule {rule}:\n((?:    .*\n)+)", said, re.MULTILINE)


def test_the_default_figure(shipped: Project) -> None:
    assert shipped.plan("figures/reactivation.pdf") == jobs(widths=5)


def test_figures_of_several_analyses_at_once(shipped: Project) -> None:
    assert shipped.plan("figures/similarity.pdf", "figures/reactivation.pdf")["draw"] == 2


@pytest.mark.parametrize("preset", ["config", "fashion", "paper"])
def test_a_preset_plans_the_whole_paper(shipped: Project, preset: str) -> None:
    counts = shipped.plan("reactivation_paper", "--configfile", f"config/{preset}.yaml")
    figures = dict.fromkeys(("collect_metrics", "fit_experiment", "draw", "draw_mechanism"), 9)
    assert counts.items() >= {**figures, "write_findings": 1, "reactivation_paper": 1}.items()
    assert counts["train_task"] == counts["compute_kernels"] > counts["measure_kernels"] > 80


def test_the_whole_is_both_papers_and_what_has_no_figure(shipped: Project) -> None:
    papers = ("reactivation_paper", "limitations_paper")
    whole, both = shipped.plan(), shipped.plan(*papers)
    assert [both.pop(paper) for paper in papers] == [1, 1]
    assert whole == both


def test_data_that_are_absent_are_left_out_and_named(shipped: Project) -> None:
    said = shipped.build("--dry-run", "figures/datasets.pdf")
    assert "left out, for want of their files: " in said
    assert "datasets.cifar100_cnn (cifar100)" in said


@pytest.mark.parametrize(("preset", "widths", "gpu"), [("fashion", 5, 0), ("paper", 6, 1)])
def test_another_preset(shipped: Project, preset: str, widths: int, gpu: int) -> None:
    options = (f"figures/{preset}/reactivation.pdf", "--configfile", f"config/{preset}.yaml")
    assert planned(shipped.build("--dry-run", *options)) == jobs(widths)
    said = shipped.build("--dry-run", *options, EVERYTHING)
    for rule in ("train_task", "compute_kernels"):
        assert len(blocks(said, rule)) == jobs(widths)[rule]
        assert all(f"gpu={gpu}" in block for block in blocks(said, rule))
    (draw,) = blocks(said, "draw")
    assert f"results/{preset}/experiments/reactivation/metrics.nc" in draw
    assert "gpu" not in draw


@pytest.fixture
def other(project: Project) -> tuple[str, ...]:
    """Options that choose a preset whose figures alone differ from the finished one's."""
    values = {"preset": "other", "experiments": {"reactivation": {"figure": {"font_size": 9.0}}}}
    (project.root / "other.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    return ("--configfile", "other.yaml")


def test_another_preset_takes_the_runs_that_are_there(
    project: Project, other: tuple[str, ...]
) -> None:
    made = ("collect_metrics", "fit_experiment", "write_findings", "draw", "draw_mechanism")
    assert project.plan(*other) == dict.fromkeys(made, 1)


@pytest.mark.slow
def test_two_presets_overwrite_nothing(project: Project, other: tuple[str, ...]) -> None:
    drawn = (project.root / "figures/reactivation.pdf").stat().st_mtime_ns
    project.build(*other)
    assert (project.root / "figures/other/reactivation.pdf").exists()
    assert (project.root / "figures/reactivation.pdf").stat().st_mtime_ns == drawn
    assert project.plan(*other) == project.plan() == {}


PROFILES = sorted(file.parent.name for file in ROOT.glob("profiles/*/profile.yaml"))


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_names_only_rules_that_exist(profile: str) -> None:
    file = ROOT / f"profiles/{profile}/profile.yaml"
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    named = {
        entry.split(":")[0].split("=")[0]
        for key in ("set-resources", "set-threads", "set-scatter", "groups")
        for entry in settings.get(key, ())
    }
    assert named - set(RULES) == set()
    assert settings["rerun-incomplete"]
    assert settings["show-failed-logs"]
    assert settings["retries"] == {"default": 1, "slurm": 3}[profile]
    assert settings["rerun-triggers"] == ["params", "mtime"]


def test_the_default_profile_is_found_by_itself(shipped: Project) -> None:
    assert "specific profile profiles/default" in shipped.build("--dry-run", "--quiet")


def test_the_slurm_profile_plans_the_same_jobs(shipped: Project) -> None:
    pytest.importorskip("snakemake_executor_plugin_slurm")
    assert Path(shipped.root / "profiles/slurm").is_dir()  # a missing one is ignored silently
    options = ("figures/reactivation.pdf", "--workflow-profile", "profiles/slurm")
    assert shipped.plan(*options) == jobs(widths=5)


def test_submitted_jobs_of_a_folder_of_ones_own_leave_the_default_out(tmp_path: Path) -> None:
    """Their Snakefile has merged both by the time that ours is read."""
    make(tmp_path / "mine")
    mini = ("--configfiles", str(ROOT / "config/test/mini.yaml"))
    job = (*mini, "--mode", "remote", "--dry-run", "--target-jobs", "prepare_data:dataset=digits")
    for replaced, status in (("1", 0), ("0", 1)):
        told = {"NTKSCOPE_REPLACES_CONFIG": replaced, "PYTHONPATH": str(ROOT / "src")}
        done = Project(tmp_path / "mine", told).snakemake(*job)
        assert done.returncode == status, done.stdout
