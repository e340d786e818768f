"""What results/ holds, and what of it no configuration asks for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
import yaml

from ntkscope.config import expand, load_files
from ntkscope.config.requested_stores import requested_stores
from ntkscope.config.usage import (
    by_experiment,
    clean,
    configurations,
    main,
    requested_by,
    sizes,
    stage_of,
    table,
    unrequested,
)
from ntkscope.errors import ConfigError
from ntkscope.runtime import head, owner

MINI = Path(__file__).parents[3] / "config/test/mini.yaml"
CONFIG = load_files(MINI)


def answer(word: str) -> Callable[[str], str]:
    return lambda question: word


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Every store that the mini preset asks for, of 5,000 bytes each."""
    for store in set().union(*requested_stores(CONFIG).values()):
        (tmp_path / store).mkdir(parents=True)
        (tmp_path / store / "chunk").write_bytes(b"x" * 5000)
    return tmp_path


def test_what_is_asked_for_is_what_the_rules_make() -> None:
    asked = requested_stores(CONFIG)
    cells = expand(CONFIG, "reactivation")
    runs = {run.id for cell in cells for run in (*cell.run.lineage, *cell.twin.lineage)}
    assert {f"runs/{run}/snapshots.zarr" for run in runs} <= asked["reactivation"]
    assert len(asked["reactivation"]) == 1 + 2 * (6 + 6 + 4)  # each with other rounding as well
    kinds = {store.partition("/")[0] for store in asked["scaling"]}
    assert {"tasks", "networks", "regressions"} <= kinds


def test_nothing_that_is_asked_for_is_offered(results: Path) -> None:
    assert unrequested(sizes(results), requested_stores(CONFIG)) == {}


def test_the_table_has_experiments_and_stages(results: Path) -> None:
    found = by_experiment(sizes(results), requested_stores(CONFIG))
    assert (
        found["reactivation"]["train_task"] == 2 * found["reactivation"]["measure_kernels"] * 6 / 8
    )
    assert sum(each.total() for each in found.values()) == sum(sizes(results).values())
    lines = table(found).splitlines()
    assert lines[-1].startswith("together")
    assert {"train_task", "train_networks"} <= set(lines[0].split())


@pytest.fixture
def old(results: Path) -> dict[str, int]:
    """A run, a kernel and networks that nothing asks for; a job's state beside one that is."""
    run = next(results.glob("runs/*"))
    for store in (
        "runs/mlp-w9-aaaaaaaaaaaa/snapshots.zarr",
        "runs/mlp-w9-aaaaaaaaaaaa/.snapshots.state",
        f"runs/{run.name}/kernels-bbbbbbbbbbbb.zarr",
        "networks/mlp-cccccccccccc/networks.zarr",
    ):
        (results / store).mkdir(parents=True)
    (run / ".snapshots.state").mkdir()
    (run / "kernels-x.parts").mkdir()
    return unrequested(sizes(results), requested_stores(CONFIG))


def test_what_nothing_asks_for_is_found(old: dict[str, int]) -> None:
    assert len(old) == 4
    assert not [store for store in old if "parts" in store]
    stages = {stage_of(store) for store in old}
    assert stages == {"train_networks", "compute_kernels", "unfinished", "train_task"}


@pytest.mark.parametrize("word", ["", "no", "y", "Yes please"])
def test_without_a_yes_nothing_is_deleted(results: Path, old: dict[str, int], word: str) -> None:
    before = sizes(results)
    assert not clean(results, old, answer(word))
    assert sizes(results) == before


def test_without_a_terminal_nothing_is_deleted(results: Path, old: dict[str, int]) -> None:
    def ended(question: str) -> str:
        raise EOFError

    before = sizes(results)
    assert not clean(results, old, ended)
    assert sizes(results) == before


def test_after_a_yes_only_what_was_listed_is_deleted(
    results: Path, old: dict[str, int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "kept").touch()
    link = results / "tasks/old.zarr"
    link.symlink_to(elsewhere)
    before = set(sizes(results))
    listed = unrequested(sizes(results), requested_stores(CONFIG))
    assert clean(results, listed, answer("yes"))
    assert set(sizes(results)) == before - set(listed)
    assert not (results / "runs/mlp-w9-aaaaaaaaaaaa").exists()
    assert (elsewhere / "kept").exists()
    assert not link.is_symlink()


def test_presets_are_put_over_the_default(tmp_path: Path) -> None:
    default = tmp_path / "config.yaml"
    values = yaml.safe_load(MINI.read_text(encoding="utf-8"))
    default.write_text(yaml.safe_dump(values), encoding="utf-8")
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump({"preset": "other", "seeds": [5]}), encoding="utf-8")
    asked = requested_by([default, other], default)
    assert {"reactivation", "other/reactivation"} <= set(asked)
    assert not (asked["reactivation"] & asked["other/reactivation"]) - {
        store for store in asked["reactivation"] if store.startswith("data/")
    }


@pytest.fixture
def default(tmp_path: Path) -> Path:
    """The mini preset as the default."""
    file = tmp_path / "config/config.yaml"
    file.parent.mkdir()
    file.write_text(MINI.read_text(encoding="utf-8"), encoding="utf-8")
    return file


def test_a_whole_configuration_is_also_run_without_the_default(default: Path) -> None:
    whole = yaml.safe_load(MINI.read_text(encoding="utf-8"))
    default.write_text(yaml.safe_dump({**whole, "dataset": {"name": "digits", "test_samples": 50}}))
    own = default.with_name("own.yaml")
    own.write_text(yaml.safe_dump({**whole, "preset": "own"}), encoding="utf-8")
    asked = requested_by([default, own], default)["own/reactivation"]
    for files in ((own,), (default, own)):
        assert requested_stores(load_files(*files))["reactivation"] <= asked


def test_configurations_are_known_wherever_people_keep_them(default: Path) -> None:
    folder = default.parents[1]
    (folder / "config/more").mkdir()
    ours = ("config/own.yml", "config/more/mine.yaml", "beside.yaml", "other.yml")
    for name in ours:
        (folder / name).write_text("# mine\npreset: own\n", encoding="utf-8")
    for name in ("environment.yml", "config/more/samples.yaml"):
        (folder / name).write_text("name: ntkscope\nx: {preset: 1}\n", encoding="utf-8")
    found = configurations(folder, default)
    assert found[0] == default
    assert sorted(found[1:]) == sorted(folder / name for name in ours)


def test_what_a_configuration_beside_the_snakefile_asks_for_stays(
    default: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = default.parents[1]
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["usage", "--clean"])
    own = folder / "mine.yaml"
    own.write_text("preset: mine\nseeds: [5]\n", encoding="utf-8")
    for store in set().union(*requested_stores(load_files(default, own)).values()):
        (folder / "results" / store).mkdir(parents=True)
    main()
    assert "everything is asked for" in capsys.readouterr().out
    own.unlink()
    monkeypatch.setattr("builtins.input", answer("no"))
    main()
    assert "nothing was deleted" in capsys.readouterr().out


def test_a_mistake_over_the_default_alone_is_none(
    default: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = yaml.safe_load(MINI.read_text(encoding="utf-8")) | {"preset": "own"}
    default.write_text("preset: digits\nmodels: 3\n", encoding="utf-8")
    own = default.with_name("own.yaml")
    own.write_text(yaml.safe_dump(whole), encoding="utf-8")
    assert "own/reactivation" in requested_by([own], default)
    assert capsys.readouterr().out == (
        f"counted without {default} (--replace-workflow-config): {own}\n"
    )
    own.write_text("preset: own\nseeds: [5]\n", encoding="utf-8")  # by itself it asks for nothing
    with pytest.raises(ConfigError, match="models"):
        requested_by([own], default)


def test_a_faulty_configuration_is_left_out_and_nothing_is_deleted(
    default: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(default.parents[1])
    Path("results/data/old.zarr").mkdir(parents=True)
    Path("bad.yaml").write_text("preset: bad\nseeds: [a]\n", encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["usage"])
    main()
    said = capsys.readouterr().out
    assert "not counted, since it has mistakes: bad.yaml (ntkscope status --config bad" in said
    assert "\nasked for by: config/config.yaml\n" in f"\n{said}"
    monkeypatch.setattr(sys, "argv", ["usage", "--clean"])
    with pytest.raises(SystemExit, match=r"nothing was deleted: bad\.yaml may ask for some of it"):
        main()
    assert Path("results/data/old.zarr").is_dir()


@pytest.mark.parametrize(("pid", "ends"), [(1, False), (os.getpid(), True)], ids=["init", "own"])
def test_only_a_head_that_lives_keeps_it_from_cleaning(
    default: Path, monkeypatch: pytest.MonkeyPatch, pid: int, ends: bool
) -> None:
    monkeypatch.chdir(default.parents[1])
    monkeypatch.setattr(sys, "argv", ["usage", "--clean"])
    lock = Path(".snakemake/locks/0.input.lock")
    lock.parent.mkdir(parents=True)
    lock.touch()
    with monkeypatch.context() as patch:
        patch.setattr(head, "me", lambda: {**owner.me(), "pid": pid})
        head.sign_locks()
    with pytest.raises(SystemExit, match="Snakemake runs here") if ends else nullcontext():
        main()
    assert lock.exists() == ends
