"""What is said at the end of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakemake_logger_plugin_ntkscope.ending import diverged, headline, others, results
from snakemake_logger_plugin_ntkscope.study import Figure, Study

STREAMS = """regime,width,quantity,estimate,low,high,note
lazy,64,norm_drop,0.5,0.4,0.6,
ntk,,exponent of norm_drop,-0.64,-0.70,-0.58,
lazy,,exponent of norm_drop,-0.10,-0.20,0.00,log-log curve bends: not to be quoted as a law (curved)
feature,,exponent of norm_drop,,,,fewer than 3 points
ntk,,exponent of spike,-0.3,-0.4,-0.2,
"""
CURVES = """statistic,part,title,curve,width,fit,trained_on,step,estimate,low,high,note
exponent,composed,digit pairs,network,64,,0,0,0.50,0.43,0.57,
exponent,composed,digit pairs,infinite,0,,0,0,0.25,0.23,0.27,
curvature,composed,digit pairs,network,64,,0,0,0.1,0.0,0.2,
"""


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.chdir(tmp_path)
    Path("figures").mkdir()
    for name in "abcd":
        Path(f"figures/{name}.pdf").touch()
        Path(f"{name}.csv").write_text(STREAMS, encoding="utf-8")
    figures = {n: Figure([f"figures/{n}.pdf", f"figures/{n}.png"], f"{n}.csv", "p") for n in "abcd"}
    return Study(figures=figures, findings={"p": "findings/p.md", "q": "findings/q.md"})


def test_the_headline_of_a_stream_is_the_exponent_of_its_norm_drop(made: Study) -> None:
    assert headline(Path("a.csv")) == [
        "norm drop ∝ width^−0.64 ± 0.06 (ntk)",
        "norm drop ∝ width^−0.10 ± 0.10 (lazy), not a pure power law",
    ]


def test_the_headline_of_learning_curves_is_their_exponents(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text(CURVES, encoding="utf-8")
    assert headline(table) == [
        "error ∝ n^−0.50 ± 0.07 (composed: network, width 64)",
        "error ∝ n^−0.25 ± 0.02 (composed: infinite kernel)",
    ]


def test_the_part_of_learning_curves_without_parts_is_named_by_its_task(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text(CURVES.replace("composed", "all"), encoding="utf-8")
    assert headline(table)[1] == "error ∝ n^−0.25 ± 0.02 (digit pairs: infinite kernel)"


def test_no_table_no_headline() -> None:
    assert headline(Path("nowhere.csv")) == []


def test_a_figure_is_named_with_its_numbers_and_findings(made: Study) -> None:
    said = results(made.requested(["--cores", "2", "figures/b.png"]), made)
    assert said[0] == "figure:   figures/b.pdf"
    assert said[1].strip() == "norm drop ∝ width^−0.64 ± 0.06 (ntk)"
    assert "numbers:  b.csv" in said
    assert said[-1].startswith("findings: not yet judged")
    Path("findings").mkdir()
    Path("findings/p.md").touch()
    assert results(made.requested(["./figures/b.png"]), made)[-1] == "findings: findings/p.md"


def test_many_figures_are_named_by_their_folder(made: Study) -> None:
    for words in ([], ["p_paper"], ["--cores", "2", "all"]):
        assert results(made.requested(words), made)[0] == "figures:  figures/ (a, b, c, d)"


def test_another_file_that_was_asked_for_is_named(made: Study) -> None:
    table = Path("results/table.csv")
    table.parent.mkdir()
    table.write_text(STREAMS, encoding="utf-8")
    words = ["--cores", "2", "figures/a.pdf", str(table), "results/not-made.csv"]
    said = others(words, made.requested(words))
    assert said[0] == "made:     results/table.csv"
    assert said[1].strip() == "norm drop ∝ width^−0.64 ± 0.06 (ntk)"
    assert "not-made" not in str(said)
    Path("results/data.zarr").mkdir()
    assert others(["results/data.zarr"], {}) == ["made:     results/data.zarr"]


def test_another_file_is_no_figure(made: Study) -> None:
    assert made.requested(["results/data/digits.zarr"]) == {}


LOST = """regime,width,boundary,quantity,n,left_out,undefined,censored,estimate,low,high,note
lazy,64,1,norm_drop,5,0,0,0,0.5,0.4,0.6,
lazy,128,1,norm_drop,2,3,0,0,0.5,0.4,0.6,
lazy,256,1,norm_drop,5,0,0,0,0.5,0.4,0.6,
lazy,256,2,norm_drop,0,5,0,0,,,,
ntk,64,1,norm_drop,0,5,0,0,,,,
ntk,64,1,spike,0,5,0,0,,,,
ntk,128,1,norm_drop,0,3,2,0,,,,
lazy,,1,exponent of norm_drop,5,0,0,,-0.64,-0.70,-0.58,"without width 256, 512, which no seed has"
"""


def test_runs_of_which_no_seed_is_left_are_told_with_their_table(made: Study) -> None:
    assert not any("diverged" in line for line in results(made.figures, made))
    Path("b.csv").write_text(LOST, encoding="utf-8")
    told = "all seeds diverged or died in 2 of 5 runs"
    lost = f"lost:     {told}: see b.csv"
    assert results(made.requested(["figures/b.png"]), made)[2:4] == ["numbers:  b.csv", lost]
    assert results(made.figures, made)[1] == lost
    assert "width^−0.64 ± 0.06 (lazy), without width 256, 512" in headline(Path("b.csv"))[0]
    Path("results").mkdir()
    Path("results/table.csv").write_text(LOST, encoding="utf-8")
    assert others(["results/table.csv"], {})[-1].strip() == told


def test_learning_curves_without_a_seed_are_counted(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text(CURVES, encoding="utf-8")
    assert diverged(table) == ""
    some = CURVES.replace("0.57,", "0.57,n=80: ridge; n=160: diverged in 2 of 5 seeds")
    table.write_text(some, encoding="utf-8")
    assert diverged(table) == ""
    table.write_text(some.replace("n=80: ridge;", "n=80: diverged;"), encoding="utf-8")
    assert diverged(table) == "all seeds diverged at some n of 1 of 2 learning curves"
