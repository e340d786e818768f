"""Where a value was written: which file and line, or the command line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from snakemake.cli import parse_config
from snakemake.utils import update_config

from ntkscope.config import Config, load_config, load_files
from ntkscope.errors import ConfigError


def given(entries: list[str], values: dict[str, Any], file: str) -> Config:
    """The configuration as Snakemake hands it over after `--config ENTRIES`."""
    update_config(values, parse_config(entries))
    return load_config(values, [file])


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ("seeds=3", "seeds: 3"),
        ("seeds=[0, 1, x]", 'seeds[2]: "x"'),
        ("sedes=[0]", "did you mean 'seeds'"),
        ("dataset={name: mnist}", "did you mean 'fashion_mnist'"),
        ("dataset={name:mnist}", "write a space after the colon: name: mnist"),
        ("regimes={lazy: {learning_rate: 1e-3}}", "write 1.0e-3"),
        ("experiments={reactivaton: {twin: no}}", "did you mean experiments.reactivation"),
    ],
)
def test_the_command_line_is_named(
    entry: str, named: str, values: dict[str, Any], file: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        given([entry], values, file)
    assert named in str(caught.value)
    assert "where: the command line (--config)" in str(caught.value)


def test_the_command_line_is_read_as_yaml(values: dict[str, Any], file: str) -> None:
    entries = ["seeds=[0, 1]", "regimes={lazy: {learning_rate: 0.5}}", "resources={gpu: 1}"]
    config = given(entries, values, file)
    assert (config.seeds, config.regimes["lazy"].learning_rate) == ([0, 1], [0.5])
    assert config.resources.gpu == 1


def test_text_in_a_file_is_not_read_as_a_number(tmp_path: Path, file: str) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("seeds: ['0', '1']\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="write 0 without quotes"):
        load_files(file, mine)


def test_the_overriding_file_is_named_in_either_order(
    tmp_path: Path, values: dict[str, Any], file: str
) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("# mine\nseeds:\n- 0\n- -1\n", encoding="utf-8")
    values["seeds"] = [0, -1]
    for files in ([file, mine], [mine, file]):
        with pytest.raises(ConfigError) as caught:
            load_config(values, files)
        assert f"where: {mine}, line 4" in str(caught.value)


def test_an_impossible_section_names_all_its_sources(values: dict[str, Any], file: str) -> None:
    with pytest.raises(ConfigError) as caught:
        given(["experiments={reactivation: {stream: {tasks: 3}}}"], values, file)
    assert re.search(r"config/config\.yaml, line \d+ and the command line", str(caught.value))


def test_a_kind_merged_over_another_is_explained(tmp_path: Path, file: str) -> None:
    mine = tmp_path / "mine.yaml"
    text = "experiments: {reactivation: {model: {kind: myrtle5, width: 8}}}"
    mine.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"(?s)depth.*merged key by key.*--replace-workflow"):
        load_files(file, mine)


def test_a_file_below_the_working_folder_is_named_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("seeds: []", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"where: mine\.yaml, line 1"):
        load_files(tmp_path / "mine.yaml")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (b"a: [1,\n", "line 2"),
        (b"a:\n\t- b", "line 2"),
        (b"", "this file is empty"),
        (b"- a\n", "this file is a list"),
        (b"a: 2020-13-45\n", "month"),
        (b"a: !!python/object:os.system {}\n", "constructor"),
        (b"\xff\xfea: 1", "UTF-8"),
        (b"seeds: [1]\na: 1\nseeds: [2]\n", "'seeds' occurs twice"),
    ],
)
def test_a_file_that_is_no_configuration(text: bytes, named: str, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_bytes(text)
    with pytest.raises(ConfigError, match=r"mine\.yaml") as caught:
        load_files(mine)
    assert named in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml"):
        load_files(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="directory"):
        load_files(tmp_path)


def test_anchors_and_merge_keys_are_plain_yaml(tmp_path: Path, file: str) -> None:
    mine = tmp_path / "mine.yaml"
    text = (
        "preset: mine\nregimes:\n  lazy: &a {learning_rate: 1.0}\n  ntk: {<<: *a, scaling: fixed}\n"
    )
    mine.write_text(text, encoding="utf-8")
    assert load_files(file, mine).regimes["ntk"].learning_rate == [1.0]
