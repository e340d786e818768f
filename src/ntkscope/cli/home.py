"""Where the workflow lies: in a checkout, or where the wheel put it; and where one works."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from ntkscope.errors import NtkscopeError

_CHECKOUT = Path(__file__).resolve().parents[3]
_INSTALLED = "share/ntkscope/Snakefile"  # pyproject.toml, [tool.setuptools.data-files]


def version() -> str:
    """Of the package that is installed."""
    try:
        return distribution("ntkscope").version
    except PackageNotFoundError:
        return "unknown"


def home() -> Path:
    """The folder of the workflow that belongs to this library: Snakefile, rules, scripts, config.

    Raises:
        NtkscopeError: there is none.
    """
    for snakefile in (_CHECKOUT / "Snakefile", *_installed()):
        if (snakefile.parent / "rules").is_dir():
            return snakefile.parent
    raise NtkscopeError(
        "the workflow is neither in a checkout nor beside the installed library",
        where=_CHECKOUT,
        remedy="install the wheel with pip, which brings it: pip install 'ntkscope[workflow]'",
    )


def snakefile() -> str:
    """The Snakefile for `module:` of another workflow."""
    return str(home() / "workflow/Snakefile")


def working_folder() -> Path:
    """This folder, which has a Snakefile of ours or one that imports ours.

    Raises:
        NtkscopeError: it has none; says where the next one is.
    """
    here, above = Path.cwd(), _above()
    if _is_ours(here):
        return here
    raise NtkscopeError(
        "there is no ntkscope workflow in this folder",
        where=here,
        remedy=f"cd {above}"
        if above
        else "cd to a checkout of ntkscope, or make a folder of your own: ntkscope new mine",
    )


def check_results(folder: Path) -> None:
    """Refuse results that are not here, where they are those of a folder above.

    Raises:
        NtkscopeError: says of which.
    """
    above = _above()
    if above is not None and not folder.exists() and (above / folder).exists():
        raise NtkscopeError(
            f"there is no {folder} in this folder", where=Path.cwd(), remedy=f"cd {above}"
        )


def _above() -> Path | None:
    """The next folder above this one that has a workflow."""
    return next((folder for folder in Path.cwd().parents if _is_ours(folder)), None)


def _is_ours(folder: Path) -> bool:
    files = (folder / "Snakefile", folder / "workflow/Snakefile")
    return any(
        file.is_file() and "ntkscope" in file.read_text("utf-8", "replace") for file in files
    )


def _installed() -> list[Path]:
    """The Snakefile among the files that were installed with the library."""
    try:
        files = distribution("ntkscope").files or []
    except PackageNotFoundError:
        return []
    return [
        Path(str(file.locate())).resolve() for file in files if file.as_posix().endswith(_INSTALLED)
    ]
