"""Runs compared with their twins: effects of a boundary with intervals, and how they scale.

`collect_metrics` lays the metrics of a sweep side by side; `fit_experiment` makes the tables that
figures and papers are drawn from. What belongs to one paper lies in a folder of that paper, which
nothing else here imports. Imports the ground.
"""

from ntkscope.runtime.imports import need_extra

need_extra("workflow", __name__, "pandas", "pydantic", "statsmodels")

from ntkscope.fits.boundary_window import BoundaryWindow
from ntkscope.fits.collect import collect_metrics, experiment_table
from ntkscope.fits.effects import QUANTITIES, Quantity
from ntkscope.fits.results import results_of
from ntkscope.fits.rows import as_rows
from ntkscope.fits.schema import (
    EXPERIMENT,
    METRICS,
    Schema,
    SchemaError,
    check_experiment,
    check_metrics,
)
from ntkscope.fits.seed_values import seed_values
from ntkscope.fits.tables import fit, fit_experiment
from ntkscope.statistics.paired import Interval, ZeroTests, against_zero, t_interval
from ntkscope.statistics.power_law import Contrast, PowerLaw, compare, fit_power_law

__all__ = [
    "EXPERIMENT",
    "METRICS",
    "QUANTITIES",
    "BoundaryWindow",
    "Contrast",
    "Interval",
    "PowerLaw",
    "Quantity",
    "Schema",
    "SchemaError",
    "ZeroTests",
    "against_zero",
    "as_rows",
    "check_experiment",
    "check_metrics",
    "collect_metrics",
    "compare",
    "experiment_table",
    "fit",
    "fit_experiment",
    "fit_power_law",
    "results_of",
    "seed_values",
    "t_interval",
]
