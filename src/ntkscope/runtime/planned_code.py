"""Whether a job runs the code that it was planned with, though sources may be edited meanwhile.

Snakemake records with what a job makes the digest of the code when the workflow was read. A job
that began after an edit would run other code under that name, and never again once it is undone.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from functools import cache
from pathlib import Path

from ntkscope.errors import NtkscopeError
from ntkscope.identity import stage_digest

_PLANNED = "NTKSCOPE_PLANNED_CODE"
_PACKAGE = Path(__file__).parents[1]


def plan_code(
    script: Path, stage: str, entrance: str | None = None, *, is_submitted: bool = False
) -> str:
    """The digest of the code behind a script, as of `stage_digest`, for its jobs to compare.

    Jobs find it in their environment, which is this process's.

    Args:
        script: the copy that Snakemake has made and will run.
        stage, entrance: of the library behind it.
        is_submitted: whether this is a job of another process, whose plan it keeps if it has it;
            but the copy of the script is its own, as that of another machine may not be here.
    """
    code = stage_digest(stage, entrance, script)
    planned = json.loads(os.environ.get(_PLANNED, "{}"))
    if is_submitted and script.name in planned:
        planned[script.name][1] = str(script)
    else:
        planned[script.name] = [code, str(script), stage, entrance, _dates(), _contents()]
    os.environ[_PLANNED] = json.dumps(planned)
    return code


def check_code(job: str | None = None) -> None:
    """Refuse to go on with other code than was planned; without a plan there is nothing to check.

    Args:
        job: the script as Snakemake calls it, `tmpab12.draw.py`; None: what runs here.

    Raises:
        NtkscopeError: names the source that was changed last.
    """
    name = ".".join(Path(job or sys.argv[0]).name.split(".")[-2:])
    planned = json.loads(os.environ.get(_PLANNED, "{}"))
    if name not in planned:
        return
    code, script, stage, entrance, dates, contents = planned[name]
    if _dates() == dates or _contents() == contents:
        return
    if stage_digest(stage, entrance, Path(script)) == code:
        return
    raise NtkscopeError(
        "the code of this job was changed after the workflow had planned it",
        where=max(_sources(), key=lambda file: file.stat().st_mtime_ns),
        remedy="give the same command again: it plans with the code of then "
        "(or, on a machine with an installation of its own, bring that up to date)",
    )


def is_planned() -> bool:
    """Whether no source was changed since the workflow was planned; without a plan, True."""
    planned = json.loads(os.environ.get(_PLANNED, "{}"))
    return all(dates == _dates_now() for _, _, _, _, dates, _ in planned.values())


@cache
def _dates() -> str:
    return _dates_now()


def _dates_now() -> str:
    """Changes with any source's date or size; takes milliseconds, unlike the digest of a stage."""
    found = ((str(file.relative_to(_PACKAGE)), file.stat()) for file in _sources())
    dated = [(name, status.st_mtime_ns, status.st_size) for name, status in found]
    return hashlib.sha256(str(dated).encode()).hexdigest()


@cache
def _contents() -> str:
    """The same wherever and whenever the library was installed, by whatever version of Python.

    The digest of a stage is of code as `ast.unparse` writes it, which versions may do differently.
    """
    read = [(str(file.relative_to(_PACKAGE)), file.read_bytes()) for file in _sources()]
    return hashlib.sha256(str(read).encode()).hexdigest()


def _sources() -> list[Path]:
    """The library's modules; an editor's `.#task.py`, a link to nothing, is none."""
    return sorted(file for file in _PACKAGE.rglob("*.py") if not file.name.startswith("."))
