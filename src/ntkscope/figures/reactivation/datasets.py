"""Data sets and models: trajectories of each, and its effects beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import xarray as xr
from matplotlib.figure import Figure

from ntkscope.config.sections import FigureStyle
from ntkscope.figures import panels
from ntkscope.figures.panels import Look, Point, every_point, lost_in_words
from ntkscope.figures.reactivation.forest import draw_forest

ANALYSIS = {"needs": "variant"}

METRICS = (panels.VELOCITY, panels.NORM)
EFFECTS = (panels.SPIKE, panels.NORM_DROP, panels.CHECKMARK, panels.DEFLECTION)
_MODELS = {"mlp": "MLP", "cnn": "CNN"}
_DASHES = ("-", (0, (3, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))


def draw(
    metrics: xr.Dataset, fits: xr.Dataset, style: FigureStyle, labels: Mapping[str, str]
) -> Figure:
    """Draw the figure (`figures.draw`): axis variant, a column each data set."""
    points = every_point(metrics, fits)
    columns: dict[str, list[Point]] = {}
    for point in points:
        columns.setdefault(split(point)[0], []).append(point)
    models = list(dict.fromkeys(split(point)[1] for point in points))
    looks = {name: _look(number) for number, name in enumerate(models)}
    shapes = [(len(METRICS), len(columns)), (1, len(EFFECTS))]
    figure, (above, below) = panels.new_blocks(style, shapes, 0.58 + 0.012 * len(points), [])
    window = int(fits.attrs["window"])
    for (name, chosen), column in zip(columns.items(), above.T, strict=True):
        column[0].set_title(name)
        _draw_lines(column, chosen, looks, fits.attrs)
    panels.finish_lines(above, METRICS, window)
    names = [", ".join([" ".join(split(p)), *lost_in_words(p)]) for p in points]
    marks = [looks[split(point)[1]] for point in points]
    draw_forest(below[0], names, [p.fits for p in points], EFFECTS, marks, window)
    panels.letter(above, below)
    lines = [panels.point_handle(name, look) for name, look in looks.items() if name]
    panels.legend_above(figure, [*lines, *panels.context_handles()])
    return figure


def split(point: Point) -> tuple[str, str]:
    """Title of the data set and name of the model of a point, as its run has them."""
    title, model = (str(point.metrics[f"variant_{fact}"].item()) for fact in ("title", "model"))
    return title, _MODELS.get(model, model)


def _look(number: int) -> Look:
    return panels.regime_look(number % 6, line=_DASHES[number % len(_DASHES)])


def _draw_lines(
    column: panels.PanelGrid,
    points: Sequence[Point],
    looks: Mapping[str, Look],
    attrs: Mapping[str, float],
) -> None:
    for metric, axes in zip(METRICS, column, strict=True):
        for point in points:
            look = looks[split(point)[1]]
            cells = [(point.metrics, look.colour)]
            window = int(attrs["window"])
            panels.draw_trajectories(axes, cells, metric, window, attrs["confidence"], look.line)
