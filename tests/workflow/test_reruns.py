"""What a change makes run again: exactly what depends on it, found by dry runs."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.workflow.project import ALL_JOBS, Project, planned

DRAWN = ("draw", "draw_mechanism")
IN_TABLES = {
    "collect_metrics": 1,
    "fit_experiment": 1,
    "write_findings": 1,
    **dict.fromkeys(DRAWN, 1),
}
LIBRARY = "src/ntkscope"
EXPERIMENT = "experiments.reactivation"


def since(rule: str) -> dict[str, int]:
    """All jobs of a rule and those after it."""
    rules = list(ALL_JOBS)
    return {name: ALL_JOBS[name] for name in rules[rules.index(rule) :]}


def test_a_new_width_makes_only_its_runs(project: Project) -> None:
    project.change(f"{EXPERIMENT}.model.width", [4, 8, 16])
    new = {"train_task": 3, "compute_kernels": 3, "measure_kernels": 2}
    assert project.plan() == {**new, **IN_TABLES}


def test_a_new_regime_makes_only_its_runs(project: Project) -> None:
    project.change(f"{EXPERIMENT}.regimes", ["feature", "ntk"])
    new = {"train_task": 6, "compute_kernels": 6, "measure_kernels": 4}
    assert project.plan() == {**new, **IN_TABLES}


def test_a_width_less_trains_nothing(project: Project) -> None:
    project.change(f"{EXPERIMENT}.model.width", [8])
    assert project.plan() == IN_TABLES


CHANGES = {
    "seeds": ([0, 1, 2], "train_task"),
    "regimes.feature.learning_rate": (0.2, "train_task"),
    f"{EXPERIMENT}.probe.samples": (15, "compute_kernels"),
    f"{EXPERIMENT}.probe.seed": (1, "compute_kernels"),
    f"{EXPERIMENT}.kernel.by_layer": (False, "compute_kernels"),
    f"{EXPERIMENT}.fits.confidence": (0.9, "fit_experiment"),
    f"{EXPERIMENT}.fits.window": (2, "fit_experiment"),
    f"{EXPERIMENT}.figure.font_size": (8.0, "draw"),
    "regimes.feature.label": ("learns features", "draw"),
}


@pytest.mark.parametrize("key", CHANGES)
def test_a_changed_key_runs_its_stage_and_those_after(project: Project, key: str) -> None:
    value, first = CHANGES[key]
    project.change(key, value)
    assert project.plan() == since(first)


def test_keys_that_say_where_and_how_run_nothing(project: Project) -> None:
    project.change(
        "resources",
        {
            "threads": 2,
            "mem_mb": 1234,
            "runtime_minutes": 7,
            "gpu": 1,
            "device": "cpu",
            "checkpoint_seconds": 0,
            "keep_snapshots": False,
        },
    )
    assert project.plan() == {}


def test_the_place_of_the_images_runs_nothing(project: Project) -> None:
    (project.root / "elsewhere").mkdir()
    project.change("dataset", {"name": "digits", "root": "elsewhere", "download": True})
    assert project.plan() == {}


STAGES = {
    "data": "prepare_data",
    "models": "train_task",
    "training": "train_task",
    "kernels": "compute_kernels",
    "metrics": "measure_kernels",
    "fits": "collect_metrics",
    "figures": "draw",
}
LOADED = {
    "data": "prepare",
    "models": "network",
    "training": "task",
    "kernels": "job",
    "metrics": "cka",
    "fits": "collect",
    "figures": "style",
}
"""A module of each stage that its first job loads."""


@pytest.mark.parametrize("stage", STAGES)
def test_changed_code_of_a_stage_runs_it_and_those_after(project: Project, stage: str) -> None:
    project.append(f"{LIBRARY}/{stage}/{LOADED[stage]}.py", "\n_X = 1\n")
    assert project.plan() == since(STAGES[stage])


def test_changed_code_that_no_job_loads_runs_nothing(project: Project) -> None:
    for module in ("ntk/infinite/api", "ntk/regression/kernel_ridge", "ntk/operator/xtrace"):
        project.append(f"{LIBRARY}/{module}.py", "\n_X = 1\n")
    assert project.plan() == {}


def test_comments_and_docstrings_run_nothing(project: Project) -> None:
    for stage in STAGES:
        for module in project.files(f"{LIBRARY}/{stage}/*.py"):
            text = module.read_text(encoding="utf-8")
            changed = text.replace('"""', '"""In other words: ', 1) + "\n# Why.\n"
            module.write_text(changed, encoding="utf-8")
    assert project.plan() == {}


def test_changed_code_that_computes_nothing_runs_nothing(project: Project) -> None:
    for module in ("config/load", "stores/zarr_store", "runtime/logs", "errors"):
        project.append(f"{LIBRARY}/{module}.py", "\n_X = 1\n")
    assert project.plan() == {}


def test_code_that_is_changed_meanwhile_begins_no_job(project: Project) -> None:
    """Or what it makes would stand recorded as made by the code that was planned."""
    for folder in ("logs", "figures", "results/experiments"):
        shutil.rmtree(project.root / folder)
    process = project.start()
    project.wait_for("logs/collect_metrics/*.log", process)
    project.append(f"{LIBRARY}/figures/style.py", "\n_X = 1\n")
    said = process.communicate()[0]
    assert "the code of this job was changed after the workflow had planned it" in said
    assert project.files("figures/*.pdf") == []
    assert project.plan() == dict.fromkeys(DRAWN, 1)


def test_tables_of_other_settings_are_made_again_without_a_record_too(project: Project) -> None:
    """As where results/ was copied without .snakemake."""
    shutil.rmtree(project.root / ".snakemake")
    project.change(f"{EXPERIMENT}.fits.window", 2)
    said = project.build("--dry-run")
    assert planned(said) == since("fit_experiment")
    assert "or are damaged, are made again (1 of 2)" in said
    project.change(f"{EXPERIMENT}.model.width", [8])
    assert project.plan() == since("collect_metrics")


def test_what_was_put_back_over_files_of_these_settings_is_made_again(
    project: Project, finished: Project
) -> None:
    """As where results/ of other settings were copied over, with their dates."""
    project.change(f"{EXPERIMENT}.fits.window", 2)
    project.change(f"{EXPERIMENT}.figure.font_size", 8.0)
    project.build("--touch")  # now Snakemake has records of these settings
    put_back(finished, project, "figures/reactivation.png")
    assert project.plan() == {"draw": 1}
    put_back(finished, project, "results/experiments/reactivation/fits.nc", later=3600)
    said = project.build("--dry-run")
    assert planned(said) == since("fit_experiment")
    assert re.search(r"^fit_experiment +1  made elsewhere$", said, re.MULTILINE)


def test_a_figure_that_is_cut_is_drawn_again(project: Project) -> None:
    figure = project.root / "figures/reactivation.pdf"
    figure.write_bytes(figure.read_bytes()[:-30])
    assert project.plan() == {"draw": 1}


def put_back(finished: Project, project: Project, file: str, later: float = 0) -> None:
    """A file as it was, and as old, or later."""
    shutil.copy2(finished.root / file, project.root / file)
    date = (project.root / file).stat().st_mtime + later
    os.utime(project.root / file, (date, date))


def test_fewer_threads_than_asked_for_are_told(project: Project) -> None:
    """As --cores then is no longer without effect on the last digits."""
    table = str(project.files("results/runs/*/metrics-*.nc")[0].relative_to(project.root))
    project.change("resources.threads", 2)
    kernels = Path(table.replace("metrics", "kernels")).with_suffix(".zarr")
    for cores, told in (("1", True), ("2", False)):
        shutil.rmtree(project.root / kernels)
        said = project.build(str(kernels), "--cores", cores)
        assert ("fewer threads than the 2 of resources.threads" in said) == told


SCRIPTS = {"train_task": "train_task", "compute_kernels": "compute_kernels", "draw": "draw"}


@pytest.mark.parametrize("script", SCRIPTS)
def test_changed_code_of_a_script_runs_its_rule_and_those_after(
    project: Project, script: str
) -> None:
    project.append(f"scripts/{script}.py", "\n_X = 1\n")
    assert project.plan() == since(SCRIPTS[script])


def test_a_changed_caption_draws_its_figures(project: Project) -> None:
    project.append("workflow/report/mechanism.rst", "\nMore words.\n")
    assert project.plan() == {"draw_mechanism": 1}


def test_time_stamps_of_sources_run_nothing(project: Project) -> None:
    for folder in ("scripts", "rules", "workflow", "config", "src"):
        for file in project.files(f"{folder}/**/*"):
            file.touch()
    assert project.plan() == {}


def test_results_copied_into_a_fresh_clone_run_nothing(project: Project, tmp_path: Path) -> None:
    """Without what Snakemake remembers of them; older than the clone's sources."""
    clone = Project.make(tmp_path / "clone", project.config)
    for folder in ("results", "figures"):
        shutil.copytree(project.root / folder, clone.root / folder)
    test_time_stamps_of_sources_run_nothing(clone)


def test_results_copied_without_time_stamps_are_touched(project: Project, tmp_path: Path) -> None:
    clone = Project.make(tmp_path / "clone", project.config)
    for folder in ("results", "figures"):
        shutil.copytree(project.root / folder, clone.root / folder, copy_function=shutil.copyfile)
    clone.build("--touch")
    assert clone.plan() == {}


GONE = {  # what is deleted → what is made again
    "experiments/*/metrics.nc": IN_TABLES,
    "experiments/*/table.csv": {
        "fit_experiment": 1,
        "write_findings": 1,
        **dict.fromkeys(DRAWN, 1),
    },
    "runs/*/metrics-*.nc": {"measure_kernels": 4, **IN_TABLES},
    "runs/*/kernels-*.zarr": {"compute_kernels": 6, "measure_kernels": 4, **IN_TABLES},
    "runs/*/snapshots.zarr": {},  # only training makes them again
    "runs/*/*.zarr": {},
    "data/*.zarr": {},
    "../figures/reactivation.rst": {"draw": 1},
}


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("seeds", [0, 1, 2], "train_task"),
        (f"{EXPERIMENT}.probe.samples", 15, "measure_kernels"),  # kernels of others are there
    ],
)
def test_what_was_never_made_is_not_said_to_be_gone(
    project: Project, key: str, value: object, rule: str
) -> None:
    project.change(key, value)
    said = project.build("--dry-run")
    assert re.search(rf"^{rule} +\d+  not made yet with these settings$", said, re.MULTILINE)
    assert "Deleted" not in said
    assert "was deleted" not in said


@pytest.mark.parametrize("files", GONE)
def test_what_is_deleted_from_the_middle_is_made_again(project: Project, files: str) -> None:
    for path in project.files(f"results/{files}"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    said = project.build("--dry-run")
    assert planned(said) == GONE[files]
    assert ("file was deleted" in said) == bool(GONE[files])
    assert "not made yet" not in said
    others = ("write_findings", "draw_mechanism")
    figure = {rule: jobs for rule, jobs in GONE[files].items() if rule not in others}
    assert project.plan("figures/reactivation.pdf") == figure
    project.change("resources.remake_deleted", False)
    assert project.plan() == {}


def test_what_is_deleted_is_not_made_again_if_what_follows_needs_training(project: Project) -> None:
    """Metrics are of the kernels of all tasks, and of the snapshots of all."""
    for pattern in ("*-t1-*/kernels-*", "*-t2-*/snapshots"):
        for path in project.files(f"results/runs/{pattern}.zarr"):
            shutil.rmtree(path)
    assert project.plan() == {}
