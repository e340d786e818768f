# Helpers of all stages: the checked configuration, what it asks for, and where everything lies.
import json
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from ntkscope.config import datasets_of, expand, load_config, runs_of, without_absent
from ntkscope.config.analyses import ANALYSES, TABLE
from ntkscope.config.memory_needs import megabytes_to_measure
from ntkscope.data.sources import is_there
from ntkscope.errors import NtkscopeError
from ntkscope.identity import stage_digest

try:
    CONFIG, ABSENT = without_absent(load_config(config, workflow.configfiles), is_there)
except NtkscopeError as error:
    raise WorkflowError(str(error)) from None
# Checked and typed, for the scripts: what is not among a rule's params reruns nothing.
config["dataset"] = CONFIG.dataset.model_dump()
config["datasets"] = {id: dataset.model_dump() for id, dataset in datasets_of(CONFIG).items()}
config["resources"] = CONFIG.resources.model_dump()

if ABSENT and workflow.is_main_process:
    logger.info(f"left out, for want of their files: {', '.join(ABSENT)}")

CELLS = {name: expand(CONFIG, name) for name in CONFIG.experiments}
RUNS = runs_of(CONFIG)
KERNELS = {cell.kernel.id: cell.kernel for cells in CELLS.values() for cell in cells}

# Experiments with a figure; the others end in their tables.
DRAWN = [name for name, each in CONFIG.experiments.items() if each.analysis != TABLE]
TABLES = [name for name in CONFIG.experiments if name not in DRAWN]

# The default preset has the short paths; others never overwrite it. Runs are shared by all.
PRESET = "" if CONFIG.preset == "digits" else f"{CONFIG.preset}/"
EXPERIMENTS = f"results/{PRESET}experiments"
FIGURES = f"figures/{PRESET}".rstrip("/")


wildcard_constraints:
    dataset=r"[^/]+",
    run=r"[^/]+-[0-9a-f]{12}",
    kernel=r"[^/]+-[0-9a-f]{12}",
    part=r"\d+",
    parts=r"\d+",
    experiment="|".join(CONFIG.experiments),


def images_of(run):
    """The store of a run's images."""
    return f"results/data/{run.dataset.id}.zarr"


def snapshots_of(run):
    """The store of a run's snapshots: those of its last task."""
    return f"results/runs/{run.id}/snapshots.zarr"


def kernels_of(run, kernel):
    """The store of a kernel of a run's snapshots."""
    return f"results/runs/{run.id}/kernels-{kernel.id}.zarr"


def metrics_of(run, kernel):
    """The table of a run's metrics, over all its tasks."""
    return f"results/runs/{run.id}/metrics-{kernel.id}.nc"


def figures_of(experiment):
    """An experiment's figure and that of its mechanism."""
    names = (experiment, f"{experiment}_mechanism")
    return [f"{FIGURES}/{name}.{kind}" for name in names for kind in ("pdf", "png")]


def run_at(wildcards):
    """The run that a wildcard names."""
    return known(RUNS, wildcards.run, "run")


def known(specs, id, what):
    """A spec by its id, or an error for a path that the configuration does not ask for."""
    if id not in specs:
        raise WorkflowError(
            f"this configuration has no {what} {id!r}\n"
            f"  to do: ask for one that it has (snakemake --dry-run lists them), or change config/"
        )
    return specs[id]


def parts_of_kernels(wildcards):
    """What part jobs leave for a kernel; for a store that is there, those that it was made by."""
    parts = CONFIG.resources.kernel_jobs if CONFIG.resources.kernel_jobs > 1 else 0
    made = Path(f"results/runs/{wildcards.run}/kernels-{wildcards.kernel}.zarr/zarr.json")
    if made.exists():  # else another number of jobs would make it again
        parts = json.loads(made.read_text(encoding="utf-8"))["attributes"].get("parts", 0)
    mark = f"results/.state/runs/{wildcards.run}/kernels-{wildcards.kernel}-part"
    return [f"{mark}{number}of{parts}" for number in range(parts)]


def plain(spec):
    """A spec as the plain values that params can hold."""
    return spec.model_dump(mode="json")


def snapshots_output(path):
    """The declared output, deleted after use where the configuration says so."""
    return directory(path) if CONFIG.resources.keep_snapshots else temp(directory(path))


def metrics_of_experiment(wildcards):
    """The metrics of every run and twin of an experiment, each once."""
    cells = CELLS[wildcards.experiment]
    runs = [(run, cell.kernel) for cell in cells for run in (cell.run, cell.twin) if run]
    return list(dict.fromkeys(metrics_of(run, kernel) for run, kernel in runs))


def cells_of_experiment(wildcards, input):
    """The sweep: axes of each cell and the places of its run and twin among the inputs."""
    place = {file: number for number, file in enumerate(input.metrics)}
    return [
        {
            "axes": cell.axes,
            "facts": cell.facts,
            "run": place[metrics_of(cell.run, cell.kernel)],
            "twin": place[metrics_of(cell.twin, cell.kernel)] if cell.twin else None,
        }
        for cell in CELLS[wildcards.experiment]
    ]
