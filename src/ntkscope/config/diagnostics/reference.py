"""The tables of config/README.md, made from the models, so that no key is missing from them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from ntkscope.config.analyses import ANALYSES, OF_CURVES, OF_STREAMS, TABLE
from ntkscope.config.diagnostics.allowed import Node, resolve, schema, words

_ANALYSES = re.compile(r"<!-- analyses -->\n.*?<!-- end -->", re.DOTALL)
_CURVES = re.compile(r"<!-- curve analyses -->\n.*?<!-- end -->", re.DOTALL)
_TABLE = re.compile(r"<!-- keys of (\w+) -->\n.*?<!-- end -->", re.DOTALL)


def with_tables(text: str) -> str:
    """The text with the table of each section, and that of the analyses, between its two marks.

    Args:
        text: Markdown in which `<!-- keys of Training -->` (or `<!-- analyses -->`) and
            `<!-- end -->` enclose a table.
    """
    text = _ANALYSES.sub(f"<!-- analyses -->\n{analyses_table()}\n<!-- end -->", text)
    curves = curve_analyses_table()
    text = _CURVES.sub(f"<!-- curve analyses -->\n{curves}\n<!-- end -->", text)
    return _TABLE.sub(lambda found: _marked(found.group(1)), text)


def _marked(section: str) -> str:
    return f"<!-- keys of {section} -->\n{table(section)}\n<!-- end -->"


def analyses_table() -> str:
    """What each analysis is about, sweeps beside regimes and widths, and calls its variants."""
    head = ["| analysis | about | must sweep | may sweep | roles of variants |"]
    head.append("|---|---|---|---|---|")
    for name in OF_STREAMS:
        each = ANALYSES[name]
        may = ("anything",) if name == TABLE else each.may_have
        cells = [_named(names) for names in (each.needs, may, each.roles)]
        head.append(f"| {' | '.join([f'`{name}`', each.about, *cells])} |")
    return "\n".join(head)


def curve_analyses_table() -> str:
    """What each analysis of learning curves is about, and what it calls its parts."""
    rows = [
        f"| `{name}` | {each.about} | {_named(each.roles)} |"
        for name, each in ((name, ANALYSES[name]) for name in OF_CURVES)
    ]
    return "\n".join(["| analysis | about | roles of parts |", "|---|---|---|", *rows])


def _named(names: Sequence[str]) -> str:
    printed = {"variant": "variants", "anything": "anything"}
    return ", ".join(printed.get(name, f"`{name}`") for name in names)


def table(section: str) -> str:
    """The keys of one section as a Markdown table: key, what is allowed, default, meaning.

    Raises:
        KeyError: there is no section model of that name.
    """
    node = schema() if section == "Config" else schema()["$defs"][section]
    head = ["| key | allowed | default | meaning |", "|---|---|---|---|"]
    rows = [_row(key, field, node) for key, field in node["properties"].items()]
    return "\n".join([*head, *rows])


def _row(key: str, field: Node, section: Node) -> str:
    required = key in section.get("required", ())
    cells = [f"`{key}`", _allowed(field), "required" if required else _default(field), _text(field)]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


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
