"""Whether all that lies in results/ is as it was written: `python -m ntkscope.stores.verify`.

With a path: another folder, one store or one table. Every byte of every store and table is read and
compared with its fingerprint. What a job is building at the moment (`.*.state`) is the job's own to
look at.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from ntkscope.errors import NtkscopeError, StoreError, remake
from ntkscope.runtime.nearest import did_you_mean
from ntkscope.stores.manifest import MANIFEST, METADATA, files_of, fingerprint_of, read_manifest
from ntkscope.stores.netcdf import is_table_sealed, read_any_netcdf
from ntkscope.stores.pictures import PICTURES, is_whole
from ntkscope.stores.text import is_changed, is_noted
from ntkscope.stores.zarr_store import ZarrStore, check_place

_TABLES = {".nc", ".csv", ".md", ".tex", ".rst"}
_KINDS = {
    "metrics.nc": {"experiment"},
    "curves.nc": {"learning_curves"},
    "fits.nc": {"fits", "curve_fits"},
}
"""What tables of these names are of."""

_NAMED = 3  # damaged files of a store that are named


class Verdict(NamedTuple):
    """What was found of one store or file.

    Attributes:
        path: where it lies.
        wrong: what is wrong with it; empty: nothing.
        known: whether it has fingerprints; without them, as of an older version, values in
            metadata and texts can be wrong unnoticed.
    """

    path: Path
    wrong: str
    known: bool


def verify(path: Path, jobs: int | None = None) -> Iterator[Verdict]:
    """Look at a store or table, or all below a folder, in parallel processes, with progress.

    Args:
        path: `results`, any part of it, or a store or table of one's own.
        jobs: processes; None: one a core.

    Raises:
        StoreError: there is no such path, or nothing to verify in it.
    """
    if not path.exists():
        beside = [each.name for each in path.parent.glob("*")]
        raise StoreError(
            f"there is no such folder, store or table{did_you_mean(path.name, beside)}",
            where=path,
            remedy="name the folder of the results, or a store or table",
        )
    above = filter(_is_store, reversed(path.absolute().parents))
    whole = next(above, None)  # a store has groups, which look like stores
    found = {} if whole else dict(everything(path))
    if not found:
        raise StoreError(
            f"nothing to verify in {path}",
            where=path.absolute(),
            remedy=f"name the store as a whole: {whole}"
            if whole
            else f"name a store, a table ({', '.join(sorted(_TABLES))}), or a folder above some",
        )
    with tqdm(total=sum(found.values()), unit="B", unit_scale=True, disable=None) as bar:
        for verdict in _looked_at(list(found), jobs or _cores()):
            bar.update(found[verdict.path])
            yield verdict


def look(path: Path) -> Verdict:
    """Look at one store or file."""
    try:
        if path.is_dir():
            return _look_at_store(path)
        if path.suffix == ".nc":
            kind = str(read_any_netcdf(path).attrs.get("kind"))
            wrong = "" if kind in _KINDS.get(path.name, {kind}) else f"this is a table of {kind!r}"
            return Verdict(path, wrong, is_table_sealed(path))
        if path.suffix in PICTURES:
            return Verdict(path, "" if is_whole(path) else "the picture is cut", known=True)
        if path.suffix == ".zarr":
            return Verdict(path, "this is a file in the place of a store", known=True)
        return Verdict(
            path, "the text was changed, or its note" if is_changed(path) else "", is_noted(path)
        )
    except NtkscopeError as error:
        return Verdict(path, error.what, True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Say what is damaged and how to make it again; 1: something is, or there is nothing."""
    parser = argparse.ArgumentParser(prog="ntkscope verify", description=__doc__)
    parser.add_argument("path", nargs="?", type=Path, default=Path("results"))
    parser.add_argument("--jobs", type=int, help="processes (default: one a core)")
    args = parser.parse_args(arguments)
    try:
        verdicts = sorted(verify(args.path, args.jobs))
    except NtkscopeError as error:
        print(error, file=sys.stderr)
        return 1
    damaged = [verdict for verdict in verdicts if verdict.wrong]
    for path, wrong, _ in damaged:
        print(f"{path}: {wrong}\n  to do: {remake(path)}")
    unknown = sum(not verdict.known for verdict in verdicts)
    older = f"; {unknown} of an older version, of which metadata cannot be checked"
    print(
        f"{len(verdicts)} stores and tables in {args.path}: {len(verdicts) - len(damaged)} as "
        f"they were written, {len(damaged)} damaged{older if unknown else ''}"
    )
    return 1 if damaged else 0


def everything(path: Path) -> Iterator[tuple[Path, int]]:
    """All there is to look at, with its bytes: a path itself, or what is below it, links too."""
    if path.is_file() and _is_of_interest(path):
        yield path, path.stat().st_size
    if _is_store(path):
        yield path, _bytes(path)
        return
    met = set[Path]()
    for place, folders, files in os.walk(path, followlinks=True):
        inside = Path(place)
        is_met = inside.resolve() in met  # links may lead in a circle
        met.add(inside.resolve())
        if is_met:
            folders.clear()
            continue
        seen = [name for name in folders if name[0] != "."]
        stores = [name for name in seen if _is_store(inside / name)]
        folders[:] = sorted(set(seen).difference(stores))
        yield from ((inside / name, _bytes(inside / name)) for name in stores)
        for file in (inside / name for name in files if name[0] != "."):
            if _is_of_interest(file):
                yield file, file.stat().st_size


def _is_of_interest(file: Path) -> bool:
    return file.suffix in {".zarr", *_TABLES, *PICTURES}


def _is_store(folder: Path) -> bool:
    """Whether it is one, of whatever name, even if a file of it is lost."""
    named = folder.suffix == ".zarr" and folder.is_dir()
    return named or any((folder / file).is_file() for file in (METADATA, MANIFEST))


def _bytes(store: Path) -> int:
    return sum(file.stat().st_size for file in store.rglob("*"))


def _cores() -> int:
    """Cores that this process may use; where the system does not say (macOS), all."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def _looked_at(paths: list[Path], jobs: int) -> Iterator[Verdict]:
    if min(jobs, len(paths)) < 2:
        yield from map(look, paths)
        return
    context = multiprocessing.get_context("spawn")
    pool: Executor
    with ProcessPoolExecutor(min(jobs, len(paths)), mp_context=context) as pool:
        for done in as_completed([pool.submit(look, path) for path in paths]):
            yield done.result()


def _look_at_store(path: Path) -> Verdict:
    manifest = read_manifest(path)
    if manifest is None:
        return Verdict(path, _read_whole(path), known=False)
    wrong = [
        f"{file} is {'lost' if found == 'lost' else 'damaged'}"
        for file, known in manifest.items()
        if (found := fingerprint_of(path / file)) != known
    ]
    wrong += [f"{file} is none of its files" for file in files_of(path) if file not in manifest]
    if not wrong:
        check_place(path, "store", json.loads((path / METADATA).read_text("utf-8"))["attributes"])
    more = f", and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
    return Verdict(path, ", ".join(wrong[:_NAMED]) + more, known=True)


def _read_whole(path: Path) -> str:
    """What is wrong with a store without manifest: each chunk has a CRC32C."""
    store = ZarrStore.open(path, ZarrStore.kind_of(path))
    for name, _ in store.arrays():
        store.read(name)
    return ""


if __name__ == "__main__":
    sys.exit(main())
