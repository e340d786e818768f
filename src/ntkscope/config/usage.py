"""What `results/` holds and what of it nothing asks for: `make disk`, `make clean-results`.

`python -m ntkscope.config.usage [--clean] [FILE.yaml …]`: the configurations of `config/`, those
beside the Snakefile, and the files named. Runs are shared by all of them, so that what is deleted
is asked for by none.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from ntkscope.config.load import load_files
from ntkscope.config.requested_stores import requested_stores
from ntkscope.config.sections import Config
from ntkscope.errors import ConfigError, NtkscopeError
from ntkscope.runtime.head import head_in_words, remove_dead_locks

RESULTS = Path("results")
_PATTERNS = ("data/*", "tasks/*", "runs/*/*", "networks/*/*", "regressions/*")
_STAGES = {
    "data": "prepare_data",
    "tasks": "prepare_task",
    "networks": "train_networks",
    "regressions": "regress_kernels",
    "snapshots": "train_task",
    "kernels": "compute_kernels",
    "metrics": "measure_kernels",
}
_SHARED = "(several)"
_NONE = "(none)"


def sizes(results: Path) -> dict[str, int]:
    """Store, relative to `results` → bytes on the disk; of symbolic links, those of the link."""
    stores = [store for pattern in _PATTERNS for store in results.glob(pattern)]
    return {store.relative_to(results).as_posix(): _size(store) for store in sorted(stores)}


def _size(store: Path) -> int:
    inside = [store] if store.is_symlink() or store.is_file() else [store, *store.rglob("*")]
    return sum(file.lstat().st_blocks * 512 for file in inside)


def by_experiment(
    sizes: Mapping[str, int], requested: Mapping[str, set[str]]
) -> dict[str, Counter[str]]:
    """Experiment → stage → bytes. A store of several experiments counts once, under `(several)`."""
    owners: dict[str, list[str]] = defaultdict(list)
    for experiment, stores in requested.items():
        for store in stores:
            owners[store].append(experiment)
    found: dict[str, Counter[str]] = {}
    for store, size in sizes.items():
        own = owners.get(store, [_NONE])
        found.setdefault(own[0] if len(own) == 1 else _SHARED, Counter())[stage_of(store)] += size
    return found


def stage_of(store: str) -> str:
    """The rule that made a store; `unfinished` of what a job left half made."""
    folder, *rest = store.split("/")
    name = rest[-1]
    if name.startswith(".") or Path(name).suffix not in (".zarr", ".nc"):
        return "unfinished"
    kind = name.partition("-")[0].partition(".")[0] if folder == "runs" else folder
    return _STAGES.get(kind, "other")


def unrequested(sizes: Mapping[str, int], requested: Mapping[str, set[str]]) -> dict[str, int]:
    """The stores that no experiment asks for; what a job left half made stays with its store."""
    wanted = set().union(*requested.values())
    runs = {store.rpartition("/")[0] for store in wanted}
    return {
        store: size
        for store, size in sizes.items()
        if store not in wanted
        and not (stage_of(store) in ("unfinished", "other") and store.rpartition("/")[0] in runs)
    }


def table(found: Mapping[str, Counter[str]]) -> str:
    """Megabytes: a row an experiment, a column a stage, sums at the ends."""
    stages = list(dict.fromkeys(stage for each in found.values() for stage in each))
    stages.sort(key=lambda stage: -sum(each[stage] for each in found.values()))
    width = max(map(len, (*found, "experiment")))
    head = "  ".join([f"{'MB':{width}}", *stages, "together".rjust(10)])
    rows = [head]
    everything: Counter[str] = Counter()
    for name, each in sorted(found.items(), key=lambda item: -item[1].total()):
        rows.append(_row(f"{name:{width}}", each, stages))
        everything += each
    return "\n".join([*rows, _row(f"{'together':{width}}", everything, stages)])


def _row(name: str, sizes: Counter[str], stages: Sequence[str]) -> str:
    cells = [f"{sizes[stage] / 1e6:{len(stage)}.1f}" for stage in stages]
    return "  ".join([name, *cells, f"{sizes.total() / 1e6:10.1f}"])


def clean(results: Path, stores: Mapping[str, int], ask: Callable[[str], str]) -> bool:
    """List stores, ask, and delete them if the answer is yes; gives whether they were deleted.

    Symbolic links are removed, and never what they lead to.
    """
    if not stores:
        print("nothing to delete: everything is asked for")
        return False
    for store, size in stores.items():
        print(f"{size / 1e6:10.1f} MB  {results / store}")
    total = sum(stores.values()) / 1e6
    print("what was drawn with --config on the command line, or from other folders, may need them")
    try:
        answer = ask(f"delete these {len(stores)} ({total:.1f} MB) for good? [yes/no] ")
    except EOFError:
        answer = ""
    if answer.strip() != "yes":
        print("nothing was deleted")
        return False
    for store in stores:
        _remove(results / store)
    print(f"deleted {total:.1f} MB")
    return True


def _remove(store: Path) -> None:
    if store.is_symlink() or store.is_file():
        store.unlink()
    else:
        shutil.rmtree(store)
    if store.parent.name not in _STAGES and not any(store.parent.iterdir()):
        store.parent.rmdir()  # a run or networks of which nothing is left


def requested_by(
    files: Iterable[Path], default: Path, faulty: dict[Path, ConfigError] | None = None
) -> dict[str, set[str]]:
    """The stores of all experiments of configurations, each over the default and by itself.

    Either may be run (`--replace-workflow-config`); what is a mistake in one way is left out. Which
    can be run by themselves alone is said: over the default they may have been sound once.

    Args:
        files: the configurations.
        default: the one that others are put over.
        faulty: takes the errors of others than the default, which are raised otherwise.

    Raises:
        ConfigError: a file is a mistake over the default, and by itself as well or without
            experiments.
    """
    requested: dict[str, set[str]] = defaultdict(set)
    alone = []
    for file in files:
        try:
            ways = _ways_to_run(file, default)
        except ConfigError as error:
            if faulty is None or file == default:
                raise
            faulty[file] = error
            continue
        alone += [] if default in ways else [str(file)]
        for config in ways.values():
            for name, stores in requested_stores(config).items():
                requested[name if file == default else f"{config.preset}/{name}"] |= stores
    if alone:
        print(f"counted without {default} (--replace-workflow-config): {', '.join(alone)}")
    return requested


def _ways_to_run(file: Path, default: Path) -> dict[Path | None, Config]:
    """What it is over → a configuration over the default and by itself, as far as it is sound."""
    if file == default:
        return {default: load_files(default)}
    found, mistakes = dict[Path | None, Config](), dict[Path | None, ConfigError]()
    for base in (default, None):
        try:
            found[base] = load_files(*([base] if base else []), file)
        except ConfigError as error:
            mistakes[base] = error
    if mistakes and not any(each.experiments or each.learning_curves for each in found.values()):
        raise next(iter(mistakes.values()))
    return found


_OURS = re.compile(r"^(preset|experiments|learning_curves)\s*:", re.MULTILINE)
"""In a YAML file that is a configuration, wherever it lies."""


def configurations(folder: Path, default: Path) -> list[Path]:
    """The configurations of a working folder, which people run by name: the default first.

    Args:
        folder: with the Snakefile.
        default: its config/config.yaml.
    """
    patterns = ("config/**/*.yaml", "config/**/*.yml", "*.yaml", "*.yml")
    others = [file for pattern in patterns for file in sorted(folder.glob(pattern))]
    known = [
        file
        for file in others
        if file.parent == default.parent or _OURS.search(file.read_text("utf-8", "replace"))
    ]
    return list(dict.fromkeys([default, *known]))


def _refused(faulty: Mapping[Path, ConfigError]) -> str:
    names = ", ".join(map(str, faulty))
    return "\n".join(
        [
            *map(str, faulty.values()),
            f"  (nothing was deleted: {names} may ask for some of it; mend it, or move it away)",
        ]
    )


def main() -> None:
    """Print the table; with `--clean`, list and ask."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clean", action="store_true", help="delete what nothing asks for: asks")
    parser.add_argument("files", nargs="*", type=Path, help="more configurations")
    options = parser.parse_args()
    default = Path("config/config.yaml")
    files = list(dict.fromkeys([*configurations(Path(), default), *options.files]))
    if options.clean:
        remove_dead_locks()
        if head := head_in_words():
            sys.exit(f"{head}\n  (nothing was deleted)")
    faulty: dict[Path, ConfigError] = {}
    try:
        requested = requested_by(files, default, faulty)
    except (NtkscopeError, OSError) as error:
        sys.exit(f"{error}\n  (nothing was deleted)" if options.clean else str(error))
    if faulty and options.clean:
        sys.exit(_refused(faulty))
    found = sizes(RESULTS)
    print(f"asked for by: {', '.join(str(file) for file in files if file not in faulty)}")
    for file in faulty:
        print(f"not counted, since it has mistakes: {file} (ntkscope status --config {file})")
    if options.clean:
        clean(RESULTS, unrequested(found, requested), input)
    elif found:
        print(table(by_experiment(found, requested)))
    else:
        print("results/ is empty")


if __name__ == "__main__":
    main()
