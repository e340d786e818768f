"""The fits of all experiments, and the estimates that claims are judged by."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ntkscope.fits.cells import KEYS, axes_of_table, cell_table, seeds_of, with_facts
from ntkscope.fits.comparisons import differences
from ntkscope.fits.effects import QUANTITIES
from ntkscope.fits.findings.gaps import gaps, has_interval, with_gaps
from ntkscope.fits.results import Result, of_seeds, results_of
from ntkscope.statistics.paired import FloatArray, Interval

CURVE_FITS = "curve_fits"
"""The kind of a table of learning curves' fits, beside `fits`, that of streams."""

_FAILED = "all seeds diverged or died"
_FEW = "fewer than two seeds have a value"


class Evidence:
    """Fits by experiment. Of two experiments of one analysis, claims are judged by the first.

    Attributes:
        fits: of streams of tasks, name of the experiment → table.
        curve_fits: of learning curves.

    Args:
        fits: name of the experiment → table of kind `fits` or `curve_fits`.
        figures: folder of the figures.
    """

    def __init__(self, fits: Mapping[str, xr.Dataset], figures: str) -> None:
        curves = {name for name, each in fits.items() if each.attrs.get("kind") == CURVE_FITS}
        self.fits = {name: each for name, each in fits.items() if name not in curves}
        self.curve_fits = {name: fits[name] for name in fits if name in curves}
        self._figures = figures
        self._first = {
            str(each.attrs["analysis"]): name for name, each in reversed(list(fits.items()))
        }
        self._tables: dict[tuple[str, str | None], pd.DataFrame] = {}

    def experiment(self, analysis: str) -> str:
        """Name of the analysis' experiment, or nothing; with no analysis, all of streams."""
        return self._first.get(analysis, "") if analysis else ", ".join(self.fits)

    def figure(self, analysis: str) -> str:
        """Path of the analysis' figure, or nothing."""
        name = self._first.get(analysis)
        return f"{self._figures}/{name}.pdf" if name else ""

    def confidence(self, analysis: str) -> float:
        """Confidence of an analysis' intervals."""
        name = self._first[analysis]
        return float({**self.fits, **self.curve_fits}[name].attrs["confidence"])

    def curves(self, analysis: str) -> xr.Dataset | None:
        """Fits of the analysis' learning curves; None where there is no such experiment."""
        return self.curve_fits.get(self._first.get(analysis, ""))

    def cells(self, analysis: str, arm: str | None = None, **where: Any) -> pd.DataFrame:
        """Rows of the analysis' `cell_table`; none where there is no such experiment.

        Args:
            analysis: of the experiment.
            arm: as in `cell_table`.
            where: column, one of `cells.FACTS` included → a value, a tuple of values, or a
                function of one; a column that is not there leaves no row.
        """
        name = self._first.get(analysis)
        if name is None:
            return pd.DataFrame(columns=["boundary", "quantity"])
        return select(self.table(name, arm), **where)

    def table(self, experiment: str, arm: str | None = None) -> pd.DataFrame:
        """The `cell_table` of an experiment, made once."""
        if (experiment, arm) not in self._tables:
            self._tables[experiment, arm] = cell_table(self.fits[experiment], arm)
        return self._tables[experiment, arm]

    def effects(self, analysis: str, arm: str | None = None, **where: Any) -> list[Result]:
        """The effect of every cell that there is; arguments as of `cells`."""
        table = self.cells(analysis, arm, **where)
        axes = axes_of_table(table)
        places = table[[*axes, *KEYS]].to_dict("records")
        found = [
            of_seeds(
                values,
                self.confidence(analysis),
                statistic="effect",
                quantity=place["quantity"],
                against="",
                units=QUANTITIES[place["quantity"]].units,
                at={axis: place[axis] for axis in axes},
                boundary=int(place["boundary"]),
            )
            for place, values in zip(places, table[seeds_of(table)].to_numpy(float), strict=True)
        ]
        whole = [has_interval(each) for each in found]
        if all(whole):
            return found
        failed = table.index.isin(self._failed(analysis).index)
        reasons = np.where(whole, "", np.where(failed, _FAILED, _FEW))
        return [each._replace(lacking=str(why)) for each, why in zip(found, reasons, strict=True)]

    def _failed(self, analysis: str) -> pd.DataFrame:
        """Rows of the analysis' `cell_table` of which all seeds were left out."""
        fits = self.fits[self._first[analysis]]
        if "left_out" not in fits:
            return pd.DataFrame()
        left_out = fits["left_out"].broadcast_like(fits["per_seed"])
        every = fits.assign(per_seed=(left_out == fits.sizes["seed"]).astype(float))
        rows = cell_table(every)
        return rows[rows[seeds_of(rows)].all(axis=1)]

    def differences(
        self, first: pd.DataFrame, second: pd.DataFrame, free: Sequence[str], against: str
    ) -> list[Result]:
        """As `comparisons.differences`, of rows that `cells` gave; none where one has none."""
        if first.empty or second.empty:
            return []
        return [_or_few(each) for each in differences(first, second, free, against, 0.95)]

    def results(self, analysis: str, **where: Any) -> list[Result]:
        """Results of the analysis' sweep: `where` as in `cells`, of `results_of`'s columns.

        Of those along an axis, lines without data are told too (`gaps.with_gaps`).
        """
        name = self._first.get(analysis)
        if name is None:
            return []
        fits = self.fits[name]
        axes = str(fits.attrs["axes"]).split()
        rows = select(with_facts(results_of(fits), fits), **where)
        found = [_as_result(row, axes) for _, row in rows.iterrows()]
        found = [_or_few(each) if each.statistic == "difference" else each for each in found]
        return self._with_gaps(found, analysis, where)

    def _with_gaps(
        self, found: list[Result], analysis: str, where: Mapping[str, Any]
    ) -> list[Result]:
        table = self.cells(analysis)
        along = {each.against.removeprefix("log ") for each in found}
        if not along & {*axes_of_table(table), "boundary"}:
            return found
        known = {name: wanted for name, wanted in where.items() if name in table.columns}
        return with_gaps(found, self.effects(analysis, **known))

    def of_cells(self, found: Sequence[Result], analysis: str, **where: Any) -> list[Result]:
        """Statistics of many cells at once, each saying which of the cells have no data.

        Args:
            found: the statistics.
            analysis, where: of the cells, as in `cells`.
        """
        lacking = gaps(self.effects(analysis, **where))
        return [each._replace(lacking=lacking) for each in found]

    def exponents(self, analysis: str, law: str, **where: str) -> list[Result]:
        """Exponents of width of a law, one slope per seed."""
        name = self._first.get(analysis)
        if name is None or "exponent_per_seed" not in self.fits[name]:
            return []
        fits = self.fits[name].sel(law=law)
        names = ["curved", "exponent_reason"]
        slopes = fits["exponent_per_seed"].reset_coords(drop=True).to_dataset("seed")
        frame = slopes.assign(fits[names].reset_coords(drop=True)).to_dataframe().reset_index()
        rows = select(with_facts(frame, fits), **where)
        found = [_as_exponent(row, fits, law) for _, row in rows.iterrows()]
        return self._with_gaps(found, analysis, {**where, "quantity": law})


def select(table: pd.DataFrame, **where: Any) -> pd.DataFrame:
    """Rows of which every named column has the value, is among the values, or passes the test."""
    for name, wanted in where.items():
        if name not in table.columns:
            return table.iloc[:0]
        test = wanted if callable(wanted) else _is_among(wanted)
        table = table[table[name].map(test).astype(bool)]
    return table


def _is_among(wanted: Any) -> Callable[[Any], bool]:
    allowed = wanted if isinstance(wanted, tuple) else (wanted,)
    return lambda value: value in allowed


def _or_few(difference: Result) -> Result:
    return difference if has_interval(difference) else difference._replace(lacking=_FEW)


def _as_result(row: pd.Series[Any], axes: Sequence[str]) -> Result:
    ends = (np.asarray(row[end]) for end in ("estimate", "low", "high", "n"))
    at: dict[Hashable, Any] = {
        axis: row[axis] for axis in axes if row[axis] != "" and not pd.isna(row[axis])
    }
    texts = {name: str(row[name]) for name in ("statistic", "quantity", "against", "units", "note")}
    return Result(
        **texts,
        at=at,
        boundary=int(row["boundary"]),
        interval=Interval(*ends),
        per_seed=row["per_seed"],
    )


def _as_exponent(row: pd.Series[Any], fits: xr.Dataset, law: str) -> Result:
    slopes: FloatArray = row[list(fits["seed"].values)].to_numpy(float)
    axes = [axis for axis in str(fits.attrs["axes"]).split() if axis != "width"]
    return of_seeds(
        slopes,
        float(fits.attrs["confidence"]),
        statistic="exponent",
        quantity=law,
        against="width",
        units="1",
        at={axis: row[axis] for axis in axes},
        boundary=int(row["boundary"]),
        note="not a pure power law: it is curved" if row["curved"] else "",
    )
