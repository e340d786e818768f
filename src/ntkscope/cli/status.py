"""How far each experiment is, and which jobs run; whether it is up to date: with --why.

ntkscope status
ntkscope status --config config/fashion.yaml
ntkscope status --why reactivation
"""

from __future__ import annotations

import argparse
import json
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from ntkscope.cli import run as running
from ntkscope.cli.home import working_folder
from ntkscope.errors import NtkscopeError, StoreError
from ntkscope.runtime.nearest import did_you_mean

_RESULTS = Path("results")
_STATES = ("*/.*.state", "*/*/.*.state", "*/*/*.parts/.*.state")
"""Where jobs keep what they need to go on (rules/common.smk, `state_of`)."""


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument(
        "experiments", nargs="*", metavar="EXPERIMENT", help="(default: all of the configuration)"
    )
    parser.add_argument(
        "--config",
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="over config/config.yaml",
    )
    running.alone(parser)
    parser.add_argument("--results", type=Path, default=_RESULTS, metavar="FOLDER")
    parser.add_argument(
        "--why",
        nargs="*",
        metavar="FIGURE",
        help="what Snakemake would run for these figures (none: for all), and why",
    )


def run(args: argparse.Namespace, passed_on: Sequence[str]) -> int:
    """Print a row an experiment, the jobs that run, and how to learn more."""
    if args.why is not None:
        args.figures, args.cores = [*args.experiments, *args.why], "all"
        return running.run(args, ["--dry-run", *passed_on])
    working_folder()
    if args.results != _RESULTS and not args.results.is_dir():
        raise NtkscopeError("there is no such folder", where=args.results, remedy="name results/")
    files = [str(running.there(file)) for file in args.config]
    found = experiments(files, args.results, alone=args.alone)
    chosen = {name: found[name] for name in map(partial(_known, found), args.experiments)}
    print("\n".join([*table(chosen or found), "", *_at_work(args.results)]))
    for other in [] if args.results.is_dir() else sorted(Path().glob("*/results")):
        print(f"there is no results/ here, but {other}/: ntkscope status --results {other}")
    configured = ["--config", *args.config] if args.config else []
    configured += ["--replace-workflow-config"] if args.alone else []
    print(f"what would run, and why: {shlex.join(['ntkscope', 'status', *configured, '--why'])}")
    return 0


def _known(found: Mapping[str, object], name: str) -> str:
    name = name.rpartition("/")[2]
    if name not in found:
        raise NtkscopeError(
            f"there is no experiment {name!r}{did_you_mean(name, found)}",
            remedy=f"there are: {', '.join(found)}; of another preset: --config FILE",
        )
    return name


def _at_work(results: Path) -> list[str]:
    """The jobs that run and whose they are, or in one sentence that none does."""
    from ntkscope.runtime.head import head_in_words

    jobs, head = list(living(results)), head_in_words()
    if jobs:
        return ["running:", *(f"  {job}" for job in jobs), *([head] if head else [])]
    return [f"{head}; no job writes a store just now" if head else "nothing runs here"]


def experiments(
    files: Sequence[str], results: Path, *, alone: bool = False
) -> dict[str, dict[str, str]]:
    """Experiment → stage → `there/asked for`; of `table` and `figure`, see `_MARKS`.

    Snapshots that are deleted when their kernels are there count as there.

    Args:
        files: configurations over config/config.yaml; alone: without it.
        results: the folder of stores.

    Raises:
        ConfigError: a configuration with mistakes.
        MissingExtraError: the extra `workflow` is not installed.
    """
    from ntkscope.config import load_files, without_absent
    from ntkscope.config.requested_stores import requested_stores
    from ntkscope.config.usage import stage_of
    from ntkscope.data.sources import is_there

    config, _ = without_absent(
        load_files(*([] if alone and files else ["config/config.yaml"]), *files), is_there
    )
    preset = "" if config.preset == "digits" else config.preset
    found, own = {}, requested_stores(config, repeats=False)
    for name, stores in requested_stores(config, repeats=config.check_rounding).items():
        requested = Counter(map(stage_of, stores))
        there = Counter(stage_of(store) for store in stores if _is_there(results / store, stores))
        figure = results.parent / "figures" / preset / f"{name}.pdf"
        tables = results / preset / "experiments" / name / "table.csv"
        mark = _mark(tables.parent, own[name])
        found[name] = {
            **{stage: f"{there[stage]}/{requested[stage]}" for stage in requested},
            "table": mark if tables.exists() else _NONE,
            "figure": mark if figure.exists() else _NONE,
        }
    return found


_YES, _NONE, _OTHER, _UNKNOWN = "yes", "–", "other", "?"
_MARKS = {
    _OTHER: "there, and of runs with other settings than these",
    _UNKNOWN: "there, and of what it was made is not, or is damaged (ntkscope verify)",
}


def _mark(experiment: Path, requested: set[str]) -> str:
    """Whether an experiment's table is of the runs, or networks and regressions, asked for."""
    from ntkscope.config.requested_stores import stores_of_table
    from ntkscope.config.usage import stage_of
    from ntkscope.stores.netcdf import read_any_netcdf

    tables = [experiment / name for name in ("metrics.nc", "curves.nc")]
    try:
        table = read_any_netcdf(next(file for file in tables if file.is_file()))
    except (StopIteration, StoreError):
        return _UNKNOWN
    stages = {"measure_kernels", "train_networks", "regress_kernels"}
    ends = {store for store in requested if stage_of(store) in stages}
    made_of = stores_of_table(json.loads(table.attrs["provenance"]))
    return _YES if made_of == ends else _OTHER


def _is_there(store: Path, requested: set[str]) -> bool:
    """Whether a store is there, or was used up: snapshots by all kernels that are asked for."""
    if store.exists() or store.name != "snapshots.zarr":
        return store.exists()
    run = store.parent
    kernels = [run / Path(each).name for each in requested if f"/{run.name}/kernels-" in f"/{each}"]
    return bool(kernels) and all(each.exists() for each in kernels)


_STAGES = (
    *("prepare_data", "train_task", "compute_kernels", "measure_kernels"),
    *("prepare_task", "train_networks", "regress_kernels", "table", "figure"),
)


def table(found: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Lines: a row an experiment, a column a stage that any of them has; what its words mean."""
    stages = [stage for stage in _STAGES if any(stage in row for row in found.values())]
    width = max(map(len, (*found, "experiment")))
    rows = [
        "  ".join([f"{name:{width}}", *(f"{row.get(stage, ''):>{len(stage)}}" for stage in stages)])
        for name, row in found.items()
    ]
    said = {cell for row in found.values() for cell in row.values()}
    marks = [f"{mark}: {meaning}" for mark, meaning in _MARKS.items() if mark in said]
    return ["  ".join([f"{'experiment':{width}}", *stages]), *rows, *marks]


def living(results: Path) -> Iterator[str]:
    """The jobs that hold a lock and are not known to be dead, each in words."""
    from ntkscope.stores.lock import Lock

    for state in sorted(state for pattern in _STATES for state in results.glob(pattern)):
        holder = Lock(state / "lock.json").holder()
        if holder:
            output = state.with_name(state.name.removeprefix(".").removesuffix(".state"))
            yield f"{output}: {holder}"
