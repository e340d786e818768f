# Helpers of all stages: the checked configuration, what it asks for, and where everything lies.
import json
import os
import shlex
import subprocess
import sys
from functools import reduce
from operator import getitem
from pathlib import Path

import snakemake.benchmark
import snakemake.script
from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from ntkscope.config import datasets_of, expand as cells_of, load_config, without_absent
from ntkscope.config.analyses import ANALYSES, TABLE
from ntkscope.config.curves import expand_curves
from ntkscope.config.datasets import facts_of
from ntkscope.config.memory_needs import megabytes_to_measure
from ntkscope.config.repeats import REPEATED, repeated_cells, repeated_curves
from ntkscope.config.setup_in_words import setup_in_words
from ntkscope.data.sources import is_there, open_source
from ntkscope.errors import CONFIGURED, NtkscopeError
from ntkscope.runtime.dates import check_dates
from ntkscope.runtime.disk import check_writable
from ntkscope.runtime.fork_server import ProcessWithFork, start_server
from ntkscope.runtime.forked_job import FOLDER
from ntkscope.runtime.head import interrupted_in_words, remove_dead_locks, sign_locks, signing
from ntkscope.runtime.nearest import did_you_mean
from ntkscope.runtime.planned_code import plan_code
from ntkscope.runtime.signals import end_jobs_too

HOME = Path(workflow.current_basedir).resolve().parent
if {"{", "}"} & set(str(HOME)):
    raise WorkflowError(
        f"the workflow lies in {HOME}, and Snakemake takes braces in its path for names\n"
        "  to do: rename that folder without them, then give the same command"
    )
if HOME in Path.cwd().parents and not HAS_CONFIG and not IS_MODULE:
    raise WorkflowError(
        f"started in {Path.cwd()}, a folder inside the workflow: results would be made there\n"
        f"  to do: cd {HOME}, then the same command without -s"
    )


def configured_in_words(settings):
    """The options of ntkscope for the configuration that is run."""
    files = [shlex.quote(str(file)) for file in settings.configfiles]
    values = [shlex.quote(f"{key}={json.dumps(value)}") for key, value in settings.config.items()]
    words = ["--config", *files] if files else []
    words += ["--replace-workflow-config"] if settings.replace_workflow_config else []
    words += ["--", "--config", *values] if values else []
    return "".join(f" {word}" for word in words)


REPLACES = "NTKSCOPE_REPLACES_CONFIG"
"""Tells submitted jobs of --replace-workflow-config, which Snakemake (9.27) does not hand on."""

if workflow.is_main_process:
    interrupted_in_words()
    os.environ[REPLACES] = str(int(workflow.config_settings.replace_workflow_config))
    os.environ[CONFIGURED] = configured_in_words(workflow.config_settings)
    workflow.register_envvars(REPLACES)
if IS_WHOLE and workflow.config_settings.overwrite_config and os.environ.get(REPLACES) == "1":
    # Snakemake goes on naming the files that those of the command line have replaced.
    workflow.configfiles[:] = workflow.config_settings.configfiles
    if not workflow.is_main_process:  # where both are merged already
        config.clear()
        config.update(workflow.config_settings.overwrite_config)

try:
    CONFIG, ABSENT = without_absent(
        load_config(
            {key: value for key, value in config.items() if key != "pathvars"},
            workflow.configfiles if IS_WHOLE else [],
        ),
        is_there,
    )
except NtkscopeError as error:
    raise WorkflowError(str(error)) from None

if workflow.is_main_process and remove_dead_locks():
    logger.info("The workflow that ran here was killed: going on from there.")


def build_and_sign(build=getattr(workflow, "_build_dag", None)):
    """Sign locks as they are made, and not at the start of jobs only: a head may be killed before."""
    build()
    workflow.persistence.lock = signing(workflow.persistence.lock)


if workflow.is_main_process and hasattr(workflow, "_build_dag"):
    workflow._build_dag = build_and_sign


def refuse_closed_folders():
    """Tell before the first job where nothing can be written."""
    outputs = (file for job in workflow.dag.needrun_jobs() for file in (*job.output, *job.log))
    try:
        check_writable(sorted({Path(file).parent for file in outputs}))
    except NtkscopeError as error:
        raise WorkflowError(f"{error}\n  (nothing was run)") from None


def refuse_future_dates():
    """Tell before the first job of inputs that are dated later than what is made of them."""
    jobs = list(workflow.dag.needrun_jobs())
    made = {file for job in jobs for file in job.output}
    inputs = {file: None for job in jobs for file in job.input if file not in made}
    try:
        check_dates(map(Path, inputs))
    except NtkscopeError as error:
        raise WorkflowError(f"{error}\n  (nothing was run)") from None


def tell_of_fewer_threads():
    """Sums of another number of threads are other sums, in their last digits."""
    asked = CONFIG.resources.threads
    given = [job.threads for job in workflow.dag.needrun_jobs() if "machine" in job.params.keys()]
    if min(given, default=asked) < asked:
        logger.warning(
            f"--cores {min(given)} gives a job fewer threads than the {asked} of resources.threads: "
            f"last digits will differ from those with --cores {asked} or more."
        )


def fork_jobs():
    """Start the process that imports torch once, for all jobs of this machine.

    More threads than one begin as libraries are imported, and no fork has them."""
    os.environ.pop(FOLDER, None)  # of a workflow that has this one as a job
    scripts = [Path(job.rule.script or "").stem for job in workflow.dag.needrun_jobs()]
    asked = [FORKED[script] for script in scripts if script in FORKED]
    can_be_measured = getattr(snakemake.benchmark, "BenchmarkTimer", None) is BenchmarkWithFork
    is_here = workflow.local_exec and not workflow.touch
    can_be_forks = can_be_measured and CONFIG.resources.threads == 1
    if CONFIG.resources.fork_jobs and is_here and can_be_forks and len(asked) > 1:
        SERVERS.append(start_server([*sorted({*asked}), *LATER], 1))


def end_jobs_on_request():
    """Pass SIGTERM on to jobs of this machine, as Ctrl-C in a terminal reaches them."""
    if workflow.local_exec:
        end_jobs_too([server.pid for server in filter(None, SERVERS)])


class BenchmarkWithFork(getattr(snakemake.benchmark, "BenchmarkTimer", object)):
    """Snakemake's (9.27), which measures a job's process and its children: here its fork, too."""

    def __init__(self, pid, *args, **kwargs):
        super().__init__(pid, *args, **kwargs)
        self.main = ProcessWithFork(pid)


if hasattr(snakemake.benchmark, "BenchmarkTimer"):
    snakemake.benchmark.BenchmarkTimer = BenchmarkWithFork


CTRL_C_KILLS = (
    "import signal\n"
    "if signal.getsignal(signal.SIGINT) == signal.default_int_handler:\n"
    "    signal.signal(signal.SIGINT, signal.SIG_DFL)\n"
)
"""Python's own way is a traceback of what it is just importing."""


class QuietScript(getattr(snakemake.script, "PythonScript", object)):
    """Snakemake's (9.27): here Ctrl-C ends a job of ours, until its `job_log`, without a word."""

    def get_preamble(self):
        script = Path(self.path.get_path_or_uri(secret_free=True))
        is_ours = script.resolve().parent == HOME / "scripts"
        return (CTRL_C_KILLS if is_ours else "") + super().get_preamble()


if hasattr(snakemake.script, "PythonScript"):
    snakemake.script.PythonScript = QuietScript

FORKED = {}
"""Scripts that ask for a fork → what is imported for them."""

LATER = (
    *("snakemake.script", "snakemake.iocontainers", "h5netcdf", "scipy.special", "scipy.linalg"),
    "torch.fx.experimental.symbolic_shapes",
)
"""What jobs import when they need it, most of them."""

SERVERS = []
"""Which end when nothing refers to them, with this process."""

AT_START = [
    sign_locks,
    refuse_closed_folders,
    refuse_future_dates,
    tell_of_fewer_threads,
    fork_jobs,
    end_jobs_on_request,
]
"""Functions: Snakemake keeps one `onstart` alone, the last."""


def at_start(log, others=workflow._onstart):
    """Call them; where another workflow imports this one, beside what that does at its start."""
    others(log)
    for each in AT_START if IS_WHOLE else [sign_locks]:
        each()


if IS_MODULE:  # of which Snakemake (9.27) calls no `onstart`
    workflow._onstart = at_start


onstart:
    at_start(log)


CELLS = {name: cells_of(CONFIG, name) for name in CONFIG.experiments}
CURVES = {name: expand_curves(CONFIG, name) for name in CONFIG.learning_curves}  # of each part
CHECKED = {
    **CONFIG.model_dump(mode="json")["experiments"],
    **CONFIG.model_dump(mode="json")["learning_curves"],
}
if CONFIG.check_rounding:  # each experiment a second time, with other rounding: for the verdicts
    CELLS |= {f"{REPEATED}{name}": repeated_cells(cells) for name, cells in CELLS.items()}
    CURVES |= {f"{REPEATED}{name}": repeated_curves(curves) for name, curves in CURVES.items()}
    CHECKED |= {f"{REPEATED}{name}": checked for name, checked in CHECKED.items()}

METRICS = {  # of each experiment: the tables of every run and twin with its kernel, each once
    name: {
        f"{run.id}/metrics-{cell.kernel.id}": run
        for cell in cells
        for run in (cell.run, cell.twin)
        if run
    }
    for name, cells in CELLS.items()
}
RUNS = {
    ancestor.id: ancestor
    for runs in METRICS.values()
    for run in runs.values()
    for ancestor in run.lineage
}
KERNELS = {cell.kernel.id: cell.kernel for cells in CELLS.values() for cell in cells}

# What learning curves are made of.
EVERY_CURVE = [each for curves in CURVES.values() for each in curves]
NETWORKS = {each.networks.id: each.networks for each in EVERY_CURVE}
REGRESSIONS = {spec.id: spec for each in EVERY_CURVE for spec in each.regressions}
TASKS = {
    spec.counts.store_of(spec.task): (spec.task, spec.counts)
    for spec in (*NETWORKS.values(), *REGRESSIONS.values())
}

DATASETS = {
    each.id: each
    for each in (
        *(run.dataset for run in RUNS.values()),
        *(task.dataset for task, _ in TASKS.values() if task.dataset),
    )
}
SOURCES = datasets_of(CONFIG) | {
    each.task.dataset.id: each.dataset for each in EVERY_CURVE if each.task.dataset
}


def only(experiments):
    """The pattern of these experiments' names; one that fits nothing where there are none."""
    return "|".join(experiments) or "(?!)"


def paper_of(experiment):
    """The paper whose analysis an experiment asks for."""
    section = CONFIG.experiments.get(experiment) or CONFIG.learning_curves[experiment]
    return ANALYSES[section.analysis].paper


# Experiments with a figure; the others end in their tables.
DRAWN = [name for name, each in CONFIG.experiments.items() if each.analysis != TABLE]
TABLES = [name for name in CONFIG.experiments if name not in DRAWN]
DRAWN_CURVES = [name for name, each in CONFIG.learning_curves.items() if each.analysis != TABLE]

# The experiments of each paper.
PAPERS = {
    paper: [name for name in (*DRAWN, *DRAWN_CURVES) if paper_of(name) == paper]
    for paper in dict.fromkeys(map(paper_of, (*DRAWN, *DRAWN_CURVES)))
}

# The default preset has the short paths; others never overwrite it. Runs are shared by all.
PRESET = "" if CONFIG.preset == "digits" else f"{CONFIG.preset}/"


pathvars:
    preset=PRESET,
    runs="<results>/runs",
    experiments="<results>/<preset>experiments",
    figures="figures",
    benchmarks="<results>/benchmarks",


def experiment_at(*keys):
    """What the checked configuration says of the experiment that a wildcard names. (Snakemake's
    `lookup` searches all of it, which takes 10 ms a job.)"""
    return lambda wildcards: reduce(getitem, keys, CHECKED[wildcards.experiment])


wildcard_constraints:
    dataset=r"[^/]+",
    run=r"[^/]+-[0-9a-f]{12}",
    kernel=r"[^/]+-[0-9a-f]{12}",
    task=r"[^/]+",
    networks=r"[^/]+-[0-9a-f]{12}",
    regression=r"[^/]+-[0-9a-f]{12}",
    experiment="|".join(CHECKED),
    paper=only(PAPERS),


def images_of(run):
    """The store of a run's images."""
    return f"<results>/data/{run.dataset.id}.zarr"


def snapshots_of(run):
    """The store of a run's snapshots: those of its last task."""
    return f"<runs>/{run.id}/snapshots.zarr"


def kernels_of(run, kernel):
    """The store of a kernel of a run's snapshots."""
    return f"<runs>/{run.id}/kernels-{kernel.id}.zarr"


def samples_of(spec):
    """The store of a task's samples, as many as the networks or regressions of a spec need."""
    return f"<results>/tasks/{spec.counts.store_of(spec.task)}.zarr"


def networks_of(networks):
    """The store of the networks of a learning curve."""
    return f"<results>/networks/{networks.id}/networks.zarr"


def regression_of(regression):
    """The store of regressions with one kind of kernel."""
    return f"<results>/regressions/{regression.id}.zarr"


def parts_of_experiment(wildcards):
    """The curves of every part of an experiment, and their stores."""
    return [
        {
            "part": each.part,
            "role": each.role,
            "label": each.label,
            "task": each.task.name,
            "title": each.title,
            "network": each.networks.model.kind,
            "parametrisation": each.networks.model.parametrisation,
            "width": each.networks.model.width,
            "rate": each.networks.learning.learning_rate,
            "networks": each.networks.id,
            "regressions": [
                {
                    "source": spec.source,
                    "width": 0 if spec.source == "infinite" else spec.network.width,
                    "regression": spec.id,
                }
                for spec in each.regressions
            ],
        }
        for each in CURVES[wildcards.experiment]
    ]


def cells_of_experiment(wildcards):
    """The sweep: axes of each cell, the tables of its run and twin, and the runs of their tasks.

    A point with more seeds than `seeds_per_run` is several cells of the same axes."""
    return [
        {
            "axes": cell.axes,
            "facts": cell.facts,
            "run": f"{cell.run.id}/metrics-{cell.kernel.id}",
            "twin": f"{cell.twin.id}/metrics-{cell.kernel.id}" if cell.twin else None,
            "lineage": {
                arm: [ancestor.id for ancestor in run.lineage]
                for arm, run in (("run", cell.run), ("twin", cell.twin))
                if run
            },
            "seeds": list(cell.run.seeds),
        }
        for cell in CELLS[wildcards.experiment]
    ]


def fits_of(experiments):
    """The fits of experiments."""
    return [f"<experiments>/{name}/fits.nc" for name in experiments]


def findings_of(papers):
    """The verdicts on the claims of papers."""
    kinds = ("csv", "md", "tex")
    return [f"<results>/<preset>findings/{paper}.{kind}" for paper in papers for kind in kinds]


def figures_of(experiment):
    """An experiment's figure and, of streams, that of its mechanism."""
    names = (experiment,) if experiment in CURVES else (experiment, f"{experiment}_mechanism")
    return [f"<figures>/<preset>{name}.{kind}" for name in names for kind in ("pdf", "png")]


def state_of(wildcards, output):
    """Where a job keeps what it needs to go on after a kill: beside its store."""
    store = Path(output[0])
    return str(store.with_name(f".{store.stem}.state"))


def snapshots_output(path):
    """The declared output, deleted after use where the configuration says so."""
    return directory(path) if CONFIG.resources.keep_snapshots else temp(directory(path))


def few(specs):
    """The ids of specs if they are few, else how to see them."""
    all_of_them = "snakemake --dry-run --logger-ntkscope-everything lists them"
    return ", ".join(specs) if len(specs) < 6 else all_of_them


def known(specs, id, what):
    """A spec by its id, or an error for a path that the configuration does not ask for."""
    if id not in specs:
        raise WorkflowError(
            f"this configuration has no {what} {id!r}{did_you_mean(id, specs)}\n"
            f"  to do: ask for one that it has ({few(specs)}), or change config/"
        )
    return specs[id]


def refuse_absent_data(jobs):
    """Tell of a data set whose files are missing before any job has run, as its job would."""
    absent = {
        job.wildcards.dataset: SOURCES[job.wildcards.dataset]
        for job in jobs
        if job.rule.name == "prepare_data" and not is_there(SOURCES[job.wildcards.dataset])
    }
    for source in absent.values():
        try:
            open_source(source)
        except NtkscopeError as error:
            raise WorkflowError(f"{error}\n  (nothing was run)") from None


def refuse_wrong_networks(jobs):
    """Tell of a user's own network that cannot be made before any job has run, as its job would.

    In one process of its own, and only for runs that are to be trained: nothing here has torch. Where
    that process cannot be (no torch on this machine, or too little memory) or does not end, jobs
    tell it."""
    trained = {job.wildcards.run for job in jobs if job.rule.name == "train_task"}
    tried = {}
    for run in RUNS.values():  # in the configuration's order
        if run.id in trained and run.model.kind == "module":
            facts = facts_of(SOURCES[run.dataset.id])
            tried[run.model, run.dataset.id] = {
                "model": plain(run.model),
                "shape": facts.shape,
                "outputs": facts.classes,
                "tokens": facts.dtype == "int64",
            }
    if not tried:
        return
    try:
        done = subprocess.run(
            [sys.executable, "-m", "ntkscope.models.try_out"],
            input=json.dumps([*tried.values()]),
            capture_output=True,
            text=True,
            timeout=60,
        )
    except subprocess.TimeoutExpired:
        logger.warning("Your networks were not tried: making them takes more than a minute.")
        return
    if done.returncode == 0 and done.stdout.strip():
        raise WorkflowError(f"{done.stdout.strip()}\n  (nothing was run)")


def run_at(wildcards):
    """The run that a wildcard names."""
    return known(RUNS, wildcards.run, "run")


def kernel_at(wildcards):
    """The kernel that a wildcard names."""
    return known(KERNELS, wildcards.kernel, "kernel")


def plain(spec):
    """A spec as the plain values that params can hold."""
    return spec.model_dump(mode="json")


def machine(wildcards, output):
    """Where and how jobs compute. Snakemake counts no param that is made from output: a change of
    these is no reason to run anything again."""
    return plain(CONFIG.resources)


def grows(amount):
    """A resource that a second attempt has twice as much of, a third three times."""
    return lambda wildcards, attempt: amount * attempt


def code_of(script, stage, entrance=None):
    """The param that only says when to run again: the digest of a rule's script and of the library's
    sources behind it. No time stamp of a script counts (profiles/default)."""
    path = Path(workflow.source_path(f"../scripts/{script}.py"))
    if "run_in_fork()" in path.read_text(encoding="utf-8"):
        FORKED[script] = f"ntkscope.{stage}.{script}"
    return plan_code(path, stage, entrance, is_submitted=not workflow.is_main_process)


def part_at(wildcards):
    """A part's number, from 0, and how many there are."""
    number, parts = wildcards.scatteritem.split("-of-")
    return int(number) - 1, int(parts)


def shown(figure, kind):
    """How the report shows a file of a figure."""
    return {
        "caption": "../workflow/report/figure.rst",
        "category": "Figures",
        "labels": {"experiment": "{experiment}", "figure": figure, "file": kind},
    }


def template_of(analysis):
    """The text of a caption's template: no file of another place, and no time stamp counts."""
    file = workflow.source_path(f"../workflow/report/{analysis}.rst")
    return Path(file).read_text(encoding="utf-8")
