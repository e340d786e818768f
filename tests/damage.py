"""Damages to files, as disks, people and purged file systems make them."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from pathlib import Path

from ntkscope.errors import NtkscopeError, StoreError
from ntkscope.stores import ZarrStore, read_netcdf, read_store
from ntkscope.stores.atomic_write import remove
from ntkscope.stores.netcdf import read_any_netcdf
from ntkscope.stores.verify import everything, look

KINDS = ("flip", "cut", "empty", "delete", "foreign", "zeros", "longer", "folder")


def damage(file: Path, kind: str, chance: random.Random, others: list[Path]) -> None:
    """Damage one file.

    Args:
        file: which.
        kind: flip a bit; cut off the end; empty it; delete it; give it the content of another of
            the same kind of file; make half of it zeros; append to it; put a folder in its place.
        chance: where.
        others: files whose content may be put into it.
    """
    content = bytearray(file.read_bytes())
    size = len(content)
    match kind:
        case "flip" if size:
            content[chance.randrange(size)] ^= 1 << chance.randrange(8)
        case "cut" if size:
            content = content[: chance.randrange(size)]
        case "zeros":
            content[size // 2 :] = bytes(size - size // 2)
        case "longer":
            content += chance.randbytes(7)
        case "foreign":
            content = bytearray(foreign(file, chance, others).read_bytes())
        case _:
            content = bytearray()
    if kind in ("delete", "folder"):
        file.unlink()
    else:
        file.write_bytes(content)
    if kind == "folder":
        file.mkdir()


def foreign(file: Path, chance: random.Random, others: list[Path]) -> Path:
    """Another file: of the same name or ending if there is one, at best as long."""
    alike = [f for f in others if f != file and f.suffix == file.suffix]
    long = [f for f in alike if f.stat().st_size == file.stat().st_size]
    return chance.choice(long or alike or others)


def copy(folder: Path, to: Path) -> Path:
    """A fresh copy of a folder, in the place of what is there."""
    shutil.rmtree(to, ignore_errors=True)
    return Path(shutil.copytree(folder, to))


def files_in(folder: Path) -> list[Path]:
    """All files, in order, but Snakemake's."""
    return sorted(f for f in folder.rglob("*") if f.is_file() and "snakemake" not in f.name)


def read(item: Path, kind: str = "") -> dict[str, bytes]:
    """All numbers and words of a store or table, as a stage and as a notebook read it.

    Args:
        item: which.
        kind: of a table; none: whichever it says.

    Raises:
        NtkscopeError: it is damaged.
    """
    if item.suffix == ".zarr":
        return read_zarr(item)
    if item.suffix == ".nc":
        data = read_netcdf(item, kind or str(read_any_netcdf(item).attrs["kind"]))
        found = {str(name): value.values.tobytes() for name, value in data.variables.items()}
        about = {"attributes": repr(data.attrs).encode()}
        return found | about | {"kind": str(data.attrs["kind"]).encode()}
    if look(item).wrong:
        raise StoreError(look(item).wrong, where=item)
    return {"text": item.read_bytes()}


def read_zarr(item: Path) -> dict[str, bytes]:
    store = ZarrStore.open(item, ZarrStore.kind_of(item))
    kind, found = str(store.group.attrs["kind"]), {}
    names = [name for name, _ in store.arrays()]
    for name in names:
        found[name] = store.read(name).tobytes()
    for group in (None, *{name.split("/")[0] for name in names if "/" in name}):
        data = read_store(item, kind, group)
        for name, value in data.variables.items():
            found[f"{group}:{name}"] = repr(value.values.tolist()).encode()
        found[f"{group}:attributes"] = repr(data.attrs).encode()
    return found


def judged(item: Path, sound: dict[str, bytes]) -> str:
    """Whether a damaged store or table is `refused`, by an error that names it, or `harmless`."""
    try:
        found = read(item, sound.get("kind", b"").decode())
    except NtkscopeError as error:
        assert str(item) in str(error), error
        assert look(item).wrong, f"{item} is refused, and verify finds nothing"
        return "refused"
    assert found.keys() == sound.keys()
    for name, value in sound.items():
        assert found[name] == value, f"{name} of {item} has changed, without a word"
    return "harmless"


def try_damages(folder: Path, chance: random.Random, count: int) -> Counter[tuple[str, str, str]]:
    """Damage so many files below a folder, one at a time; how it went, by kinds of file and damage.

    Every store and table is what it was at the end.
    """
    items = [path for path, _ in everything(folder) if look(path).known]
    owner = {file: item for item in items for file in (files_in(item) or [item])}
    by_kind: dict[str, list[Path]] = {}
    for file, item in owner.items():
        by_kind.setdefault(kind_of(file, item), []).append(file)
    sound, tally = {}, Counter()
    for number in range(count):
        kind = sorted(by_kind)[number % len(by_kind)]
        how = KINDS[number // len(by_kind) % len(KINDS)]
        file = chance.choice(by_kind[kind])
        item = owner[file]
        if item not in sound:
            sound[item] = read(item)
        content = file.read_bytes()
        damage(file, how, chance, list(owner))
        try:
            tally[kind, how, judged(item, sound[item])] += 1
        except Exception as error:
            raise AssertionError(f"{how} of {file}") from error
        finally:
            remove(file)
            file.write_bytes(content)
    return tally


def kind_of(file: Path, item: Path) -> str:
    """What a file is to the store or table that it is part of."""
    if item.suffix != ".zarr":
        return item.suffix
    inside = file.relative_to(item)
    if inside.name == "zarr.json":
        return "metadata of a store" if len(inside.parts) == 1 else "metadata of an array"
    if inside.name == "manifest":
        return "manifest"
    if inside.parts[0] == "complete":
        return "completion mask"
    return f"chunk of {item.stem.partition('-')[0]}"


def told(tally: Counter[tuple[str, str, str]]) -> str:
    """The tally as lines, and their sum."""
    lines = []
    for kind in sorted({key[0] for key in tally}):
        counts = Counter()
        for (of, _, end), count in tally.items():
            counts[end] += count * (of == kind)
        lines.append(f"{kind}: {counts['refused']} refused, {counts['harmless']} harmless")
    return "\n".join([*lines, f"{sum(tally.values())} damages, none of them unnoticed"])
