"""An analysis is one file: dropped into place it is known, checked, fitted and drawn."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ntkscope.config.analyses import ANALYSES, FIGURES, TABLE, analyses
from ntkscope.errors import ConfigError
from ntkscope.figures.draw import figure_of
from ntkscope.fits.effects import QUANTITIES

ROOT = Path(__file__).parents[3]
MINE = '''"""Depth: is a drop larger in deeper networks?"""
from matplotlib import pyplot as plt
from ntkscope.figures import panels

ANALYSIS = {
    "needs": "depth",
    "laws": [{"along": "depth", "of": "norm_drop spike", "statistics": "slope"}],
}

def draw(metrics, fits, style, labels):
    points = panels.points_of(metrics, fits)
    figure, axes = plt.subplots()
    depths = [point.at["depth"] for point in points]
    look = panels.regime_look(0)
    panels.draw_effect(axes, depths, [p.fits for p in points], panels.NORM_DROP, look, 5)
    return figure

def words(fits):
    return {"question": "deeper?"}
'''
TRIAL = """
import sys
from pathlib import Path
from ntkscope.config import load_config
from ntkscope.config.sections import FigureStyle
from ntkscope.errors import ConfigError
from ntkscope.figures import draw_figure
from ntkscope.fits import results_of
from tests.unit.figures.made_up import read, tables
import yaml

folder = Path(sys.argv[1])
values = yaml.safe_load(Path("config/config.yaml").read_text(encoding="utf-8"))
one = values["experiments"]["learning_rate"] | {"analysis": "depth", "regimes": ["feature"]}
try:
    load_config(values | {"experiments": {"mine": one}})
except ConfigError as error:
    assert "give depth a list of values" in str(error), error
one["model"] = {"kind": "mlp", "width": 8, "depth": [1, 2, 3]}
load_config(values | {"experiments": {"mine": one}})
points = [{"regime": "feature", "width": 8, "depth": depth} for depth in (1, 2, 3)]
files = tables(folder, points, "depth", lambda axes: axes["depth"] / 4)
assert "slope" in set(results_of(read(files)[1])["statistic"])
made = {kind: folder / f"mine.{kind}" for kind in ("pdf", "png")}
template = folder / "depth.txt"
template.write_text("$question $depth")
how = {"template": template, "caption": folder / "mine.rst", "labels": {}}
draw_figure("depth", *files, **made, **how, style=FigureStyle(dpi=72))
assert (folder / "mine.rst").read_text() == "deeper? 1, 2, 3"
assert all(file.stat().st_size > 1000 for file in made.values())
"""


def test_a_file_dropped_into_place_gives_a_figure(tmp_path: Path) -> None:
    no_caches = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src/ntkscope", tmp_path / "ntkscope", ignore=no_caches)
    (tmp_path / "ntkscope/figures/reactivation/depth.py").write_text(MINE)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    subprocess.run(
        [sys.executable, "-c", TRIAL, str(tmp_path)], cwd=ROOT, env=environment, check=True
    )


@pytest.mark.parametrize("name", [name for name in ANALYSES if name != TABLE])
def test_an_analysis_has_a_figure_a_caption_and_quantities_that_there_are(name: str) -> None:
    assert callable(figure_of(name).draw)
    assert (ROOT / f"workflow/report/{name}.rst").is_file()
    declared = ANALYSES[name]
    assert f"| `{name}` | {declared.about} |" in (ROOT / "config/README.md").read_text("utf-8")
    assert {quantity for law in declared.laws for quantity in law.of} <= set(QUANTITIES)
    assert set(declared.needs_roles) <= set(declared.roles)


def test_every_caption_is_of_a_figure() -> None:
    other = {"exponents", "figure", "findings", "workflow", "mechanism"}
    found = {file.stem for file in (ROOT / "workflow/report").glob("*.rst")}
    assert found - other == set(ANALYSES) - {TABLE}
    assert callable(figure_of("controls", "mechanism").draw)


def test_an_unknown_figure_is_refused() -> None:
    for asked in (("table",), ("controls", "nothing"), ("unheard",)):
        with pytest.raises(ConfigError, match="has no figure"):
            figure_of(*asked)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ANALYSIS = {'needs': sorted('ab')}", "is no literal"),
        ("ANALYSIS: dict = {'needs': 3}", "needs: Input should be"),
        ("ANALYSIS = {'nedes': []}", "nedes: Extra inputs"),
        ("ANALYSIS = {'laws': [{'along': 'x'}]}", "laws.0.of"),
    ],
)
def test_a_wrong_declaration_is_told(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "paper").mkdir()
    file = tmp_path / "paper/mine.py"
    file.write_text(text)
    with pytest.raises(ConfigError, match=says) as caught:
        analyses(tmp_path)
    assert str(file) in str(caught.value)


def test_a_name_is_there_once(tmp_path: Path) -> None:
    for paper in ("first", "second"):
        (tmp_path / paper).mkdir()
        (tmp_path / paper / "mine.py").write_text("ANALYSIS = {}")
    with pytest.raises(ConfigError, match="already"):
        analyses(tmp_path)
    assert FIGURES.is_dir()
