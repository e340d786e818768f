"""The tables of config/README.md, made from the models, so that no key is missing from them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from ntkscope.config.analyses import ANALYSES, OF_CURVES, OF_STREAMS, TABLE
from ntkscope.config.diagnostics.allowed import Node, resolve, schema, words

_MARKED = re.compile(
    r"<!-- (analyses|curve analyses|keys of (\w+)) -->\n.*?<!-- end -->", re.DOTALL
)


def with_tables(text: str) -> str:
    """The text with the table of each section, and that of the analyses, between its two marks.

    Args:
        text: Markdown in which `<!-- keys of Training -->` (or `<!-- analyses -->`) and
            `<!-- end -->` enclose a table.
    """
    of_analyses = {"analyses": analyses_table, "curve analyses": curve_analyses_table}

    def filled(found: re.Match[str]) -> str:
        made = table(found[2]) if found[2] else of_analyses[found[1]]()
        return f"<!-- {found[1]} -->\n{made}\n<!-- end -->"

    return _MARKED.sub(filled, text)


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (f"| {' | '.join(cells)} |" for cells in (head, *rows))
    return "\n".join([next(lines), f"|{'---|' * len(head)}", *lines])


def analyses_table() -> str:
    """What each analysis is about, sweeps beside regimes and widths, and calls its variants."""
    head = ("analysis", "about", "must sweep", "may sweep", "roles of variants")
    rows = []
    for name in OF_STREAMS:
        each = ANALYSES[name]
        may = ("anything",) if name == TABLE else each.may_have
        rows.append([f"`{name}`", each.about, *map(_named, (each.needs, may, each.roles))])
    return _markdown(head, rows)


def curve_analyses_table() -> str:
    """What each analysis of learning curves is about, and what it calls its parts."""
    each = ((name, ANALYSES[name]) for name in OF_CURVES)
    rows = [[f"`{name}`", analysis.about, _named(analysis.roles)] for name, analysis in each]
    return _markdown(("analysis", "about", "roles of parts"), rows)


def _named(names: Sequence[str]) -> str:
    printed = {"variant": "variants", "anything": "anything"}
    return ", ".join(printed.get(name, f"`{name}`") for name in names)


def table(section: str) -> str:
    """The keys of one section as a Markdown table: key, what is allowed, default, meaning.

    Raises:
        KeyError: there is no section model of that name.
    """
    node = schema() if section == "Config" else schema()["$defs"][section]
    rows = (_row(key, field, node) for key, field in node["properties"].items())
    return _markdown(("key", "allowed", "default", "meaning"), rows)


def _row(key: str, field: Node, section: Node) -> list[str]:
    required = key in section.get("required", ())
    cells = [f"`{key}`", _allowed(field), "required" if required else _default(field), _text(field)]
    return [cell.replace("|", r"\|") for cell in cells]


def _allowed(field: Node) -> str:
    if "$ref" in field or "discriminator" in field or "patternProperties" in field:
        return "a section, see below"
    return words(field).replace(", or a list of such, none twice (a sweep)", "; sweep")


def _default(field: Node) -> str:
    """The default as it is written in YAML: of a sweep its one value, of a section nothing."""
    if "default" not in field:
        return "the experiment's"
    value: Any = field["default"]
    if isinstance(value, dict):
        return "its defaults" if value else "none"
    if "anyOf" in field and isinstance(value, list):
        (value,) = value
    if isinstance(value, float):
        value = float(f"{value:.4g}")
    return f"`{json.dumps(value).strip(chr(34))}`"


def _text(field: Node) -> str:
    found: str = field.get("description") or resolve(field)["description"]
    return found.replace("{", "`{").replace("}", "}`") if "`" not in found else found
