"""The whole DAG: what it makes, that it makes it once, and the same again."""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from ntkscope import open_kernels
from tests.workflow.project import ALL_JOBS, ROOT, Project

FIGURES = ("figures/reactivation.pdf", "figures/reactivation.png")
TABLES = "results/experiments/reactivation"


def sums(project: Project, *files: str) -> list[str]:
    return [hashlib.sha256((project.root / file).read_bytes()).hexdigest() for file in files]


def test_every_output_is_made_by_the_jobs_that_were_expected(project: Project) -> None:
    rows = project.snakemake("--summary").stdout.splitlines()
    outputs = [row.split("\t") for row in rows if row.count("\t") == 5][1:]
    counts = {rule: sum(row[2] == rule for row in outputs) for rule in ALL_JOBS}
    files = {
        "collect_metrics": 2,
        "fit_experiment": 2,
        "write_findings": 3,
        "draw": 3,
        "draw_mechanism": 3,
    }
    assert counts == {**ALL_JOBS, **files}
    assert [row[0] for row in outputs if row[4:] != ["ok", "no update"]] == []
    assert [row[0] for row in outputs if not (project.root / row[0]).exists()] == []


def test_figures_and_tables_are_what_they_claim(finished: Project) -> None:
    pdf, png = ((finished.root / file).read_bytes() for file in FIGURES)
    assert pdf.startswith(b"%PDF-")
    assert png.startswith(b"\x89PNG")
    header, *rows = (finished.root / TABLES / "table.csv").read_text().splitlines()
    assert len(rows) > 0
    assert "quantity" in header
    with xr.open_dataset(finished.root / TABLES / "fits.nc", engine="h5netcdf") as fits:
        assert fits.sizes["width"] == 2
        assert np.isfinite(fits["estimate"].sel(quantity="distance")).all()


def test_jobs_are_forks_unless_they_shall_not(project: Project) -> None:
    note = "import psutil\nprint(*psutil.Process().cmdline(), file=open('jobs', 'a'))\n"
    project.append("scripts/measure_kernels.py", note)
    project.build("--until", "measure_kernels", "--config", "resources={device: cpu}")
    said = (project.root / "jobs").read_text(encoding="utf-8")
    assert said.count("ntkscope.runtime.fork_server") == ALL_JOBS["measure_kernels"]
    (project.root / "jobs").unlink()
    shutil.rmtree(project.root / "results/experiments")
    forced = ("--forcerun", "measure_kernels", "--until", "measure_kernels")
    project.build(*forced, "--config", "resources={fork_jobs: false}")
    assert "fork_server" not in (project.root / "jobs").read_text(encoding="utf-8")


@pytest.mark.slow
def test_forks_write_what_jobs_alone_write(project: Project) -> None:
    def arrays() -> dict[Path, bytes]:
        files = project.files("results/runs/**/c/**/*")
        return {file: file.read_bytes() for file in files if file.is_file()}

    forked, drawn = arrays(), sums(project, *FIGURES)
    for folder in ("results", "figures", ".snakemake"):
        shutil.rmtree(project.root / folder)
    project.build("--config", "resources={fork_jobs: false}")
    assert arrays() == forked
    assert sums(project, *FIGURES) == drawn


def test_a_report_has_no_configuration_that_was_replaced(project: Project) -> None:
    other = project.root / "other/config/config.yaml"
    other.parent.mkdir(parents=True)
    other.write_bytes((project.root / "config/config.yaml").read_bytes())
    options = ("--configfile", "other/config/config.yaml", "--replace-workflow-config")
    page = ("--reporter", "ntkscope", "--report-ntkscope-path", "page.html")
    project.build(*options, *page, limit=60)
    summaries = re.findall(r"<summary>(.*yaml)</summary>", (project.root / "page.html").read_text())
    assert [Path(file).resolve() for file in summaries] == [other.resolve()]


def test_jobs_that_are_submitted_know_of_a_replaced_configuration(project: Project) -> None:
    project.append("rules/common.smk", "\nprint('told:', os.environ[REPLACES])\n")
    project.change("preset", "own")
    own = project.root / "config/config.yaml"
    own.rename(project.root / "own.yaml")
    shutil.copy2(ROOT / "config/config.yaml", own)
    run = project.files("results/runs/*")[0].name
    job = ("--mode", "remote", "--dry-run", "--force", "--configfiles", "own.yaml", "--target-jobs")
    for replaced, options in (("1", ("--replace-workflow-config",)), ("0", ())):
        head = project.build("--dry-run", "--configfile", "own.yaml", *options)
        assert f"told: {replaced}" in head
        told = Project(project.root, {"NTKSCOPE_REPLACES_CONFIG": replaced})
        done = told.snakemake(*job, f"train_task:run={run}")
        assert ("has no run" in done.stdout) == (replaced == "0"), done.stdout


def test_kernels_are_found_by_what_a_person_knows_of_the_sweep(finished: Project) -> None:
    metrics = xr.open_dataset(finished.root / TABLES / "metrics.nc", engine="h5netcdf")
    regime, width = str(metrics["regime"].values[0]), int(metrics["width"].values[-1])
    for arm in ("shift", "twin"):
        at = {"regime": regime, "width": width, "arm": arm}
        kernels = open_kernels("reactivation", finished.root / "results", **at)
        traces = np.trace(kernels["ntk"].values, axis1=-2, axis2=-1)
        np.testing.assert_allclose(traces, metrics["trace"].sel(at), rtol=1e-5)
        assert kernels["step"].values.tolist() == metrics["step"].values.tolist()


def test_every_job_leaves_a_log_and_a_benchmark_and_no_state(finished: Project) -> None:
    for rule, jobs in ALL_JOBS.items():
        assert len(finished.files(f"logs/{rule}/**/*.log")) == jobs
        assert len(finished.files(f"results/benchmarks/{rule}/**/*.tsv")) == jobs
    assert finished.files("results/**/.*.state") == []


def test_a_second_call_does_nothing_and_soon(project: Project) -> None:
    began = time.monotonic()
    assert "Nothing to be done" in project.build()
    assert time.monotonic() - began < 15


def test_a_figure_drawn_again_is_the_same_to_the_byte(project: Project) -> None:
    before = sums(project, *FIGURES)
    for file in FIGURES:
        (project.root / file).unlink()
    assert project.plan() == {"draw": 1}
    project.build()
    assert sums(project, *FIGURES) == before


def test_the_report_has_the_figure_and_its_caption(project: Project) -> None:
    project.build("--report", "results/report.html")
    report = (project.root / "results/report.html").read_text(encoding="utf-8")
    assert "figures/reactivation.pdf" in report


def test_the_reports_first_page_needs_no_other_file(project: Project) -> None:
    page = ("--report-ntkscope-path", "results/report.html")
    project.build("figures/reactivation.png", "--reporter", "ntkscope", *page)
    report = (project.root / "results/report.html").read_text(encoding="utf-8")
    assert report.count('src="data:image/png;base64,') == 1  # the one that was asked for
    assert 'href="../figures/reactivation.pdf"' in report
    assert "How to read it" in report
    verdicts = (project.root / "results/findings/reactivation.csv").read_text(encoding="utf-8")
    shown = verdicts.count("figures/reactivation.pdf")
    assert report.count('class="verdict ') == shown > 0
    for fact in ("train_task", "<dt>torch</dt>", "<dt>host</dt>", "preset: digits"):
        assert fact in report
    assert not re.search(r"(src|href)=.https?:", report)
