"""The analyses that there are: what each asks of its experiment, read from the file that draws it.

An analysis is one file, `figures/{paper}/{analysis}.py`. It begins with a literal `ANALYSIS`, which
is read here without importing anything (as setuptools reads `attr:`), and has a function `draw`.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ntkscope.errors import ConfigError

TABLE = "table"
"""The analysis of any sweep, without a figure."""

FIGURES = Path(__file__).parents[1] / "figures"


def _listed(value: Any) -> Any:
    return value.split() if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]
"""Names, in a declaration separated by spaces."""


class _Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Law(_Declared):
    """Statistics wanted along one axis.

    Attributes:
        along: the x, `boundary` included; log: whether of its logarithm (points at 0 are left out).
        of: quantities, the y's (`fits.effects`); statistics: names in `fits.laws`.
        without: an axis that says the same in other words.
    """

    along: str
    of: Names
    statistics: Names
    log: bool = False
    without: str = ""


class Analysis(_Declared):
    """What an analysis asks of its experiment.

    Attributes:
        paper: whose it is: the folder's name; about: the first line of the file's docstring.
        of: streams of tasks (sections `experiments`) or learning curves (`learning_curves`).
        needs: axes that its sweep must have, beside `regime` and `width`; may_have: others.
        roles: what its variants (of learning curves: its parts) may play; needs_roles: what one of
            them must, if there are any.
        regime_roles: whether its claims go by the roles of regimes.
        laws: statistics along the axes of its sweep.
        compare: name in `COMPARISONS` of the paper's `fits.{paper}.comparisons`, if any.
        over_time: name in `OVER_TIME` there, of what is found in the curves themselves, if any.
        forgetting: whether accuracy on the old task says what was forgotten. Not where classes only
            change their frequencies: test images have all of them alike.
    """

    paper: str = ""
    about: str = Field("", exclude=True)  # words alone: no fit is made again for them
    of: Literal["streams", "curves"] = Field("streams", exclude=True)  # each has its own fits
    needs: Names = ()
    may_have: Names = ()
    roles: Names = ()
    needs_roles: Names = ()
    regime_roles: bool = False
    laws: tuple[Law, ...] = ()
    compare: str = ""
    over_time: str = ""
    forgetting: bool = True


def analyses(figures: Path = FIGURES) -> dict[str, Analysis]:
    """Every analysis by name: those of the files, in their order, then `table`.

    Args:
        figures: the folder with a folder for each paper.

    Raises:
        ConfigError: a declaration is no literal, says something unheard of, or is there twice.
    """
    found: dict[str, Analysis] = {}
    for file in sorted(figures.glob("*/*.py")):
        declared = _declaration(file)
        if declared is None:
            continue
        if file.stem in (*found, TABLE):
            raise ConfigError(
                f"there is an analysis {file.stem!r} already", where=file, remedy="rename the file"
            )
        found[file.stem] = _checked(declared, file)
    return {**found, TABLE: Analysis(about="Anything: metrics and fits, without a figure.")}


def _declaration(file: Path) -> dict[str, Any] | None:
    """The literal `ANALYSIS` of a module; None where it has none."""
    text = file.read_text(encoding="utf-8")
    if "ANALYSIS" not in text:
        return None
    tree = ast.parse(text)
    about = (ast.get_docstring(tree) or "").partition("\n")[0]
    for node in tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if isinstance(target, ast.Name) and target.id == "ANALYSIS":
            return {"about": about, **_literal(node.value, f"{file}:{node.lineno}")}
    return None


def _literal(value: ast.expr, where: str) -> dict[str, Any]:
    try:
        return dict(ast.literal_eval(value))
    except (ValueError, TypeError):
        raise ConfigError(
            f"ANALYSIS is no literal: {ast.unparse(value)[:60]}",
            where=where,
            remedy="write a dict of plain texts, numbers and lists; it is read, not run",
        ) from None


def _checked(declared: dict[str, Any], file: Path) -> Analysis:
    try:
        return Analysis.model_validate({"paper": file.parent.name, **declared})
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()
        )
        raise ConfigError(
            f"ANALYSIS is wrong: {problems}",
            where=file,
            remedy=f"it may say {', '.join(Analysis.model_fields)}",
        ) from None


ANALYSES = analyses()

OF_STREAMS = tuple(name for name, each in ANALYSES.items() if each.of == "streams")
"""Analyses of `experiments`, `table` the last of them."""

OF_CURVES = tuple(name for name, each in ANALYSES.items() if each.of == "curves")
"""Analyses of `learning_curves`."""
