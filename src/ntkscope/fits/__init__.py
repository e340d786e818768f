"""Runs compared with their twins: effects of a boundary with intervals, and how they scale.

`collect_metrics` lays the metrics of a sweep side by side; `fit_experiment` makes the tables that
figures and papers are drawn from. What belongs to one paper lies in a folder of that paper, which
nothing else here imports. Imports the ground.
"""

from ntkscope.runtime.imports import need_extra

need_extra("workflow", __name__, "pandas", "pydantic", "statsmodels")

from ntkscope.fits.collect import collect_metrics, experiment_table
from ntkscope.fits.effects import QUANTITIES
from ntkscope.fits.results import results_of
from ntkscope.fits.rows import as_rows
from ntkscope.fits.schema import SchemaError, check_experiment, check_metrics
from ntkscope.fits.seed_values import seed_values
from ntkscope.fits.tables import fit, fit_experiment
from ntkscope.statistics.paired import t_interval

__all__ = [
    "QUANTITIES",
    "SchemaError",
    "as_rows",
    "check_experiment",
    "check_metrics",
    "collect_metrics",
    "experiment_table",
    "fit",
    "fit_experiment",
    "results_of",
    "seed_values",
    "t_interval",
]
