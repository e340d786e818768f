"""Make a workflow folder of one's own, which imports ours.

ntkscope new mine; cd mine; ntkscope run reactivation --cores 2
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from ntkscope.cli.home import home
from ntkscope.errors import NtkscopeError

SNAKEFILE = """\
# A workflow of one's own: all rules of ntkscope, on config/config.yaml of this folder.
#   ntkscope run reactivation --cores 2
#   snakemake --cores 2 figures/reactivation.pdf
from ntkscope.cli import snakefile


configfile: "config/config.yaml"


module ntkscope:
    snakefile:
        snakefile()
    config:
        config


use rule * from ntkscope


rule everything:
    default_target: True
    input:
        rules.all.input,


# Rules of your own may follow, and take what ntkscope makes as their input: results/experiments/…
"""
_COPIED = (
    "config/config.yaml",
    "config/README.md",
    "workflow/config.schema.json",
    "profiles/default/profile.yaml",
    "profiles/slurm/profile.yaml",
)


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="to be made")


def run(args: argparse.Namespace, _: Sequence[str]) -> int:
    """Make it, and say what to do next."""
    make(args.folder)
    print(
        f"made {args.folder}: Snakefile, {', '.join(_COPIED)}\n"
        f"  next: cd {args.folder}; change config/config.yaml, or leave it\n"
        "        ntkscope run reactivation --cores 2"
    )
    return 0


def make(folder: Path) -> None:
    """Write Snakefile, configuration and profile into a folder that is new or empty.

    Raises:
        NtkscopeError: there is something already.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise NtkscopeError(
            "there is something here already", where=folder, remedy="name a new folder"
        )
    source = home()
    for name in _COPIED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, folder / name)
    (folder / "Snakefile").write_text(SNAKEFILE, encoding="utf-8")
