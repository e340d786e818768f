"""The page itself: facts into the template."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup

from snakemake_report_plugin_ntkscope.facts import origins, times, verdicts

_ORDER = {
    "supported": 0,
    "opposite": 1,
    "not supported": 2,
    "not resolved": 3,
    "by construction": 4,
    "not tested": 5,
}


def write_page(
    path: Path,
    *,
    figures: Sequence[Any],
    tables: Sequence[Any],
    jobs: Sequence[Any],
    configfiles: Sequence[tuple[str, str]],
    changed: str,
    other: Sequence[str],
    link: str | None,
) -> None:
    """Write the page.

    Args:
        path: the HTML file.
        figures, tables: Snakemake's records of PNG and CSV files that are marked for the report.
        jobs: Snakemake's records of all jobs.
        configfiles: path and text of each.
        changed: what the command line has changed of them, in YAML, or nothing.
        other: files that were made with other settings than all of these.
        link: address of Snakemake's own report, or None.
    """
    environment = Environment(
        loader=PackageLoader("snakemake_report_plugin_ntkscope", "."),
        autoescape=select_autoescape(default=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    outputs = [Path(file) for job in jobs for file in job.output]
    drawn = [Path(each.path) for each in figures]
    rows = verdicts([Path(each.path) for each in tables], [])
    if not rows:  # only some figures were asked for: what is known of them
        rows = verdicts(_beside(outputs), drawn)
    rows.sort(key=lambda row: _ORDER.get(row["verdict"], len(_ORDER)))
    counted = {name: sum(row["verdict"] == name for row in rows) for name in _ORDER}
    text = environment.get_template("page.html.jinja").render(
        rows=rows,
        counts={name: count for name, count in counted.items() if count},
        figures=[_figure(each, path.parent) for each in figures],
        origins=origins(outputs),
        times=times(jobs),
        began=_date(min((job.starttime for job in jobs), default=0)),
        ended=_date(max((job.endtime for job in jobs), default=0)),
        made=_date(datetime.now(UTC).timestamp()),
        configfiles=configfiles,
        changed=changed,
        other=other,
        link=link,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _beside(outputs: Sequence[Path]) -> list[Path]:
    """The tables of findings beside the experiments' tables, whoever made them."""
    folders = {file.parents[2] for file in outputs if file.name == "table.csv"}
    return sorted(table for folder in folders for table in folder.glob("findings/*.csv"))


def _figure(record: Any, folder: Path) -> dict[str, Any]:
    png = Path(record.path)
    pdf = png.with_suffix(".pdf")
    return {
        "name": png.stem,
        "data": base64.b64encode(png.read_bytes()).decode("ascii"),
        "pdf": Path(os.path.relpath(pdf, folder)).as_posix() if pdf.exists() else "",
        "caption": Markup(record.caption),
    }


def _date(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
