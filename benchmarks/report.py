"""The table that is printed, and what became of each target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.cases import TODAY
from benchmarks.peers import JACOBIAN, NEURAL_TANGENTS, OURS, PRODUCTS

_HEAD = (
    f"{'peer':22} {'least s':>9} {'median s':>9} {'theirs/ours':>11} {'quartiles':>15} "
    f"{'MB':>7} {'GFLOP/s':>8} {'of sgemm':>8}  differs"
)


def printed(rows: pd.DataFrame) -> str:
    """One case's rows."""
    lines = [f"\n{rows['case'].iloc[0]}", _HEAD]
    return "\n".join([*lines, *(_line(row) for _, row in rows.iterrows())])


def _line(row: pd.Series) -> str:
    start = f"{row['peer']:22} "
    if row["status"] != "ok":
        return f"{start}{row['status']}"
    spread = f"{row['ratio_low']:.2f}–{row['ratio_high']:.2f}"
    rate, share = row["gflop_per_second"], row["share_of_sgemm"]
    known = f"{rate:8.1f} {share:8.0%}" if np.isfinite(rate) else " " * 17
    return (
        f"{start}{row['least_seconds']:9.4f} {row['median_seconds']:9.4f} {row['ratio']:11.2f} "
        f"{spread:>15} {row['peak_mb']:7.0f} {known}  {row['difference']:.0e}"
    )


@dataclass(frozen=True)
class Target:
    """A bound that every one of `values` (case → number) should keep, or their geometric mean."""

    text: str
    values: pd.Series
    bound: float
    mean: bool = False
    most: bool = False

    def line(self) -> str:
        """The verdict."""
        values = self.values.dropna()
        if values.empty:
            return f"not measured  {self.text}"
        value = values.max() if self.most else values.min()
        worst = f" ({values.idxmax() if self.most else values.idxmin()})"
        if self.mean:
            value, worst = float(np.exp(np.log(values).mean())), f" over {len(values)} cases"
        met = value <= self.bound if self.most else value >= self.bound
        return f"{'met' if met else 'MISSED':12}  {self.text}: {value:.2f}{worst}"


def verdicts(table: pd.DataFrame) -> str:
    """A line for each target: met, missed or not measured, with the number that decides."""
    return "\n".join(["", "targets", *(target.line() for target in targets(table))])


def targets(table: pd.DataFrame) -> list[Target]:
    """What the kernels are to reach; ratios are medians of theirs over ours, of one round."""
    rivals, functions = table[table.peer == NEURAL_TANGENTS], (JACOBIAN, PRODUCTS)
    trace, full = (_column(rivals, rivals.group == group, "ratio") for group in ("trace", "full"))
    ours = table[table.peer == OURS]
    wide = (ours.group == "trace") & (ours.network == "mlp") & (ours.width >= 512)
    images = (ours.group == "trace") & (ours.network != "mlp") & (ours.samples == 500)
    today = _column(table, (table.peer == JACOBIAN) & table.network.isin(TODAY), "ratio")
    infinite = _column(rivals, rivals.group == "infinite", "ratio")
    return [
        Target("neural-tangents, each trace case ≥ 1.3", trace, 1.3),
        Target("neural-tangents, trace, geometric mean ≥ 3", trace, 3, mean=True),
        Target("neural-tangents, each full case ≥ 2", full, 2),
        Target("neural-tangents, full, geometric mean ≥ 5", full, 5, mean=True),
        Target("torch.func, never faster", _column(table, table.peer.isin(functions), "ratio"), 1),
        Target("torch.func, each network of today ≥ 1.3", today, 1.3),
        Target("torch.func, networks of today, geometric mean ≥ 2", today, 2, mean=True),
        Target(
            "share of sgemm, MLP of width ≥ 512, N 1000, ≥ 0.8",
            _column(ours, wide & (ours.samples == 1000), "share_of_sgemm"),
            0.8,
        ),
        Target(
            "share of sgemm, CNN and Myrtle, N 500, ≥ 0.6",
            _column(ours, images, "share_of_sgemm"),
            0.6,
        ),
        Target(
            "memory over neural-tangents', convolutions, N 500, ≤ 0.2",
            _memory(ours[images], rivals),
            0.2,
            most=True,
        ),
        Target("infinite MLP, N 4000, ≥ 5", infinite.filter(like="N 4000"), 5),
        Target("infinite Myrtle-5 14×14, ≥ 15", infinite.filter(like="14×14"), 15),
    ]


def _column(table: pd.DataFrame, chosen: pd.Series, name: str) -> pd.Series:
    """Case → number, of the chosen rows."""
    return table[chosen].set_index("case")[name].astype(float)


def _memory(ours: pd.DataFrame, rivals: pd.DataFrame) -> pd.Series:
    theirs = rivals[rivals.status == "ok"].set_index("case").peak_mb
    return (ours.set_index("case").peak_mb / theirs).dropna().astype(float)
