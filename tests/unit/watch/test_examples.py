"""The example in `examples/` runs as it stands."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np

EXAMPLE = Path(__file__).parents[3] / "examples/watch.py"


def test_a_loop_is_watched_with_five_lines_more(tmp_path: Path) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    body = text[text.index("def main") : text.index("if __name__")]
    assert len(re.findall(r"  # \d", body)) == 5
    specification = importlib.util.spec_from_file_location("example", EXAMPLE)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    watched = module.main(str(tmp_path / "watch.png"), steps=8, width=2)
    assert (tmp_path / "watch.png").stat().st_size > 10_000
    data = watched.dataset()
    assert data.attrs["boundaries"].tolist() == [8]
    assert data["step"].values[0] == 0
    assert {8, 9} <= set(data["step"].values.tolist())
    assert np.isfinite(data["velocity"].sel(snapshot=data["step"] == 8)).all()
