"""An experiment a second time with other rounding: every batch summed in reverse order.

What differs between the two is what the last bits decide: training is chaotic, and a verdict that
hangs on them is none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ntkscope.config.curve_specs import NetworksSpec, RegressionSpec
from ntkscope.config.curves import Curves
from ntkscope.config.specs import RunSpec
from ntkscope.config.sweep_checks import Cell

REPEATED = "repeated-"
"""What the name of a repeated experiment begins with: no name in a configuration has a hyphen."""


def repeated_cells(cells: Iterable[Cell]) -> list[Cell]:
    """The same sweep with every run and twin trained on reversed batches."""
    return [
        replace(cell, run=_run(cell.run), twin=None if cell.twin is None else _run(cell.twin))
        for cell in cells
    ]


def repeated_curves(curves: Iterable[Curves]) -> list[Curves]:
    """The same curves of networks trained on reversed batches.

    Kernels of networks that were not trained are the same, and are not computed again.
    """
    return [
        replace(
            each,
            networks=_networks(each.networks),
            regressions=tuple(_regression(spec) for spec in each.regressions),
        )
        for each in curves
    ]


def _run(run: RunSpec) -> RunSpec:
    return run.model_copy(update={"reversed_batches": True})


def _networks(networks: NetworksSpec) -> NetworksSpec:
    learning = networks.learning.model_copy(update={"reversed_batches": True})
    return networks.model_copy(update={"learning": learning})


def _regression(spec: RegressionSpec) -> RegressionSpec:
    if spec.networks is None:
        return spec
    return spec.model_copy(update={"networks": _networks(spec.networks)})
