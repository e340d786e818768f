"""Draw figures: Snakemake, in a checkout or a folder of one's own.

ntkscope run reactivation --cores 8
ntkscope run fashion/reactivation      with config/fashion.yaml
ntkscope run mine/reactivation --config mine.yaml -- --dry-run
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from ntkscope.cli.home import home, working_folder
from ntkscope.cli.presets import DEFAULT, SHORT, file_of, preset_of
from ntkscope.errors import MissingExtraError, NtkscopeError
from ntkscope.runtime.nearest import did_you_mean

_RULE = re.compile(r"^(?:rule (\w+)|use rule \w+ as (\w+))\b[^*]*?:", re.MULTILINE)


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument(
        "figures",
        nargs="*",
        metavar="FIGURE",
        help="NAME, PRESET/NAME, a file of results/, or a target such as reactivation_paper; "
        "none: everything that the configuration has",
    )
    how(parser)
    parser.usage = f"{parser.prog} [FIGURE ...] [--cores N] [--config FILE ...] [-- SNAKEMAKE ...]"


def how(parser: argparse.ArgumentParser) -> None:
    """How Snakemake is run: cores and configurations."""
    parser.add_argument(
        "--cores", default="all", type=_cores, metavar="N", help="how many (default: all)"
    )
    parser.add_argument(
        "--config",
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="configurations over config/config.yaml; of PRESET/NAME: that of config/ which has "
        "this preset",
    )
    alone(parser)


def alone(parser: argparse.ArgumentParser) -> None:
    """The option that leaves the default configuration out, as Snakemake calls it."""
    parser.add_argument(
        "--replace-workflow-config",
        action="store_true",
        dest="alone",
        help="the configurations by themselves, without config/config.yaml",
    )


def _cores(word: str) -> str:
    if word != "all" and not (word.isdecimal() and int(word)):
        raise argparse.ArgumentTypeError(f"{word!r} is neither a number from 1 nor all")
    return word


def run(args: argparse.Namespace, passed_on: Sequence[str]) -> int:
    """Become Snakemake."""
    words = command(args, passed_on)
    sys.stdout.flush()
    os.execv(sys.executable, words)


def command(args: argparse.Namespace, passed_on: Sequence[str]) -> list[str]:
    """Snakemake's, with its interpreter.

    Raises:
        MissingExtraError: Snakemake is not installed.
        NtkscopeError: as of `options`.
    """
    if find_spec("snakemake") is None:
        raise MissingExtraError(
            "this needs snakemake, which ntkscope does not bring by itself",
            remedy="pip install 'ntkscope[workflow]'",
        )
    return [sys.executable, "-m", "snakemake", *options(args, working_folder()), *passed_on]


def options(args: argparse.Namespace, folder: Path) -> list[str]:
    """Snakemake's command line.

    Raises:
        NtkscopeError: a configuration that is not there, or figures of two presets.
    """
    rules = set(_rules(folder))
    names = [name.removesuffix("/") for name in args.figures]
    figures = [name for name in names if name not in rules]
    files = [there(file, folder) for file in args.config] or _files_of(figures, folder)
    preset = preset_of([folder / DEFAULT, *(folder / file for file in files)])
    targets = [
        name if name in rules else target(name, preset, as_said=bool(args.config)) for name in names
    ]
    words = [*targets, "--cores", args.cores]
    if not (folder / "profiles/default").is_dir():
        words += ["--workflow-profile", str(home() / "profiles/default")]
    words += ["--replace-workflow-config"] if args.alone else []
    return [*words, "--configfile", *map(str, files)] if files else words


def target(name: str, preset: str, *, as_said: bool = False) -> str:
    """What Snakemake is asked for: files as they are, else the figure NAME or PRESET/NAME.

    Args:
        name: what was asked for; no rule.
        preset: of the configuration that is run.
        as_said: leave a PRESET as it is: the configuration was not chosen by it.
    """
    if Path(name).suffix or name.startswith("results/"):
        return name
    said, _, figure = name.removeprefix("figures/").rpartition("/")
    folder = said if said and as_said else preset
    return Path("figures", "" if folder == SHORT else folder, f"{figure}.pdf").as_posix()


def _rules(folder: Path) -> Iterator[str]:
    """The names of all rules: ours, and those of this folder's own Snakefile."""
    ours = home()
    files = (*(folder / name for name in ("Snakefile", "workflow/Snakefile")), ours / "Snakefile")
    for file in (*files, *ours.glob("rules/*.smk")):
        if file.is_file():
            yield from map("".join, _RULE.findall(file.read_text("utf-8", "replace")))


def there(file: str, folder: Path = Path()) -> Path:
    """A configuration that was named, which is there.

    Raises:
        NtkscopeError: it is not, or is no file.
    """
    if (folder / file).is_file():
        return Path(file)
    if "=" in file:
        raise NtkscopeError(
            f"--config names files, and {file!r} is none",
            remedy="write it into a YAML file, or hand it to Snakemake, with `run` or with "
            f"`status --why`: -- --config {file}",
        )
    others = [
        each.relative_to(folder).as_posix()
        for pattern in ("*.y*ml", "config/**/*.y*ml")
        for each in folder.glob(pattern)
    ]
    named = {Path(each).name: each for each in others}
    raise NtkscopeError(
        f"there is no such configuration{did_you_mean(named.get(file, file), others)}",
        where=file,
        remedy="name a YAML file; figures stand before --config, Snakemake's own options behind --",
    )


def _files_of(figures: Sequence[str], folder: Path) -> list[Path]:
    """The configuration that the presets of figures ask for, if any beside config/config.yaml."""
    files: dict[str, Path | None] = {}
    for name in figures:
        preset = name.removeprefix("figures/").rpartition("/")[0]
        if target(name, SHORT).startswith("figures/"):
            files[preset] = file_of(preset, folder) if preset else None
    if len({*files.values()}) > 1:
        each = ", ".join(repr(preset) if preset else "that of " + str(DEFAULT) for preset in files)
        raise NtkscopeError(
            f"figures of several presets are asked for: {each}",
            remedy="draw those of one preset at a time",
        )
    return [file for file in {*files.values()} if file]
