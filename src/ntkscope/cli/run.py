"""Draw figures: Snakemake, in a checkout or a folder of one's own.

ntkscope run reactivation --cores 8
ntkscope run fashion/reactivation      with config/fashion.yaml
ntkscope run mine/reactivation --config mine.yaml -- --dry-run
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from ntkscope.cli.home import home, working_folder
from ntkscope.errors import MissingExtraError, NtkscopeError
from ntkscope.runtime.nearest import did_you_mean


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument(
        "figures",
        nargs="*",
        metavar="FIGURE",
        help="NAME, PRESET/NAME, a file of results/, or a target such as reactivation_paper; "
        "none: everything that the configuration has",
    )
    parser.add_argument("--cores", default="all", metavar="N", help="how many (default: all)")
    parser.add_argument(
        "--config",
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="configurations over config/config.yaml; of PRESET/NAME: config/PRESET.yaml",
    )
    parser.usage = f"{parser.prog} [FIGURE ...] [--cores N] [--config FILE ...] [-- SNAKEMAKE ...]"


def run(args: argparse.Namespace, passed_on: Sequence[str]) -> int:
    """Become Snakemake."""
    if find_spec("snakemake") is None:
        raise MissingExtraError(
            "ntkscope run needs snakemake, which ntkscope does not bring by itself",
            remedy="pip install 'ntkscope[workflow]'",
        )
    words = [sys.executable, "-m", "snakemake", *options(args, working_folder()), *passed_on]
    sys.stdout.flush()
    os.execv(sys.executable, words)


def options(args: argparse.Namespace, folder: Path) -> list[str]:
    """Snakemake's command line.

    Raises:
        NtkscopeError: a configuration that is not there.
    """
    files = [Path(file) for file in args.config]
    files = files or list(dict.fromkeys(_preset_of(name, folder) for name in args.figures))
    files = [file for file in files if file != Path()]
    for file in files:
        if not (folder / file).is_file():
            raise NtkscopeError(
                "there is no such configuration",
                where=file,
                remedy="name a YAML file; figures stand before --config, Snakemake's own options "
                "behind --",
            )
    words = [*map(target, args.figures), "--cores", args.cores]
    if not (folder / "profiles/default").is_dir():
        words += ["--workflow-profile", str(home() / "profiles/default")]
    return [*words, "--configfile", *map(str, files)] if files else words


def target(name: str) -> str:
    """What Snakemake is asked for: files and rules as they are, else a figure."""
    if Path(name).suffix or name == "all" or name.endswith("_paper"):
        return name
    return f"figures/{name}.pdf"


def _preset_of(figure: str, folder: Path) -> Path:
    """The configuration of `PRESET/NAME`; of other words an empty path."""
    preset, slash, _ = figure.removeprefix("figures/").rpartition("/")
    if not slash or (target(figure) == figure and not figure.startswith("figures/")):
        return Path()
    file = Path("config") / f"{preset}.yaml"
    if not (folder / file).is_file():
        there = sorted({each.stem for each in (folder / "config").glob("*.yaml")} - {"config"})
        raise NtkscopeError(
            f"there is no preset {preset!r}{did_you_mean(preset, there)}",
            where=file,
            remedy=f"there are: {', '.join(there)}; or give --config FILE"
            if there
            else "give --config FILE",
        )
    return file
