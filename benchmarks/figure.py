"""The figure: how many times longer, how much more memory, and how near to sgemm."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from benchmarks.peers import ASDL, JACOBIAN, NEURAL_TANGENTS, OURS, PRODUCTS
from ntkscope.config.sections import FigureStyle
from ntkscope.figures.style import MM, REGIME_COLOURS, REGIME_MARKERS, save, themed

_LOOKS = dict(
    zip(
        (NEURAL_TANGENTS, OURS, JACOBIAN, PRODUCTS, ASDL),
        zip(REGIME_COLOURS, REGIME_MARKERS, strict=True),
        strict=False,
    )
)


def draw(table: pd.DataFrame, path: Path) -> None:
    """Draw path.pdf and path.png: cases from top to bottom, peers by colour and marker."""
    measured = table[table.status == "ok"].copy()
    ours = measured[measured.peer == OURS].set_index("case")
    measured["memory"] = measured.peak_mb / measured.case.map(ours.peak_mb)
    cases = list(dict.fromkeys(table.case))
    with themed(FigureStyle()):
        figure, (speed, memory, share) = plt.subplots(
            1, 3, figsize=(180 * MM, (22 + 5 * len(cases)) * MM), sharey=True, layout="constrained"
        )
        others = measured[measured.peer != OURS]
        _points(speed, others, "ratio", cases, "time, theirs / ours", spread=True)
        _points(memory, others, "memory", cases, "peak memory, theirs / ours")
        _points(share, measured, "share_of_sgemm", cases, "share of sgemm's rate")
        for axes in (speed, memory):
            axes.set_xscale("log")
            axes.axvline(1, color="0.5", lw=0.6, zorder=0)
        share.axvline(1, color="0.5", lw=0.6, zorder=0)
        share.set_xlim(0)
        speed.set_yticks(range(len(cases)), cases)
        speed.invert_yaxis()
        _legend(figure, [peer for peer in _LOOKS if peer in set(measured.peer)])
        sns.despine(figure)
        save(figure, path.with_suffix(".pdf"), path.with_suffix(".png"), 200)


def _points(
    axes: Axes, table: pd.DataFrame, name: str, cases: list[str], label: str, spread: bool = False
) -> None:
    for peer, rows in table.dropna(subset=[name]).groupby("peer"):
        colour, marker = _LOOKS[str(peer)]
        places = [cases.index(case) for case in rows.case]
        hollow = "none" if peer in (JACOBIAN, PRODUCTS) else colour
        axes.plot(rows[name], places, marker, color=colour, mfc=hollow, ms=3.5)
        if spread:
            axes.hlines(places, rows.ratio_low, rows.ratio_high, color=colour, lw=0.8)
    axes.set_xlabel(label)
    axes.grid(axis="y", lw=0.3, color="0.9")


def _legend(figure: plt.Figure, peers: list[str]) -> None:
    handles = []
    for peer in peers:
        colour, marker = _LOOKS[peer]
        face = "none" if peer in (JACOBIAN, PRODUCTS) else colour
        handles.append(Line2D([], [], ls="", marker=marker, color=colour, mfc=face, ms=3.5))
    figure.legend(handles, peers, loc="outside upper center", ncols=len(peers), frameon=False)
