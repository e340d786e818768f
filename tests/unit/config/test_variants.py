"""Variants: parts of an experiment with sections of their own, and those whose data are absent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ntkscope.config import Config, datasets_of, expand, load_config, runs_of, without_absent
from ntkscope.config.sections import Dataset
from ntkscope.data.sources import is_there
from ntkscope.errors import ConfigError


def with_variants(values: dict[str, Any], variants: dict[str, Any], **more: Any) -> dict[str, Any]:
    base = {**values["experiments"]["reactivation"], "regimes": ["feature"], "analysis": "controls"}
    base["model"] = {"kind": "mlp", "width": 16}
    return {**values, "experiments": {"parts": {**base, **more, "variants": variants}}}


def test_each_variant_is_swept_by_itself(values: dict[str, Any]) -> None:
    parts = {
        "plain": {},
        "permuted": {"stream": {"kind": "relabel", "change": "permute", "steps": 20}},
        "wide": {"model": {"kind": "mlp", "width": [32, 64]}, "regimes": ["lazy", "ntk"]},
    }
    cells = expand(load_config(with_variants(values, parts)), "parts")
    assert [cell.axes["variant"] for cell in cells] == ["plain", "permuted", *["wide"] * 4]
    plain, permuted, *wide = cells
    assert plain.run.parent != permuted.run.parent  # 300 steps, and 20
    assert permuted.run.tasks[1].labels != permuted.run.tasks[0].labels
    assert {cell.axes["width"] for cell in wide} == {32, 64}
    assert {cell.axes["regime"] for cell in wide} == {"lazy", "ntk"}


def test_a_variant_shares_the_runs_that_are_equal(values: dict[str, Any]) -> None:
    alone = load_config(values)
    widths = [cell.run for cell in expand(alone, "controls") if cell.axes["variant"] == "widths"]
    assert {run.id for run in widths} == {cell.run.id for cell in expand(alone, "reactivation")}


def test_a_variant_has_its_own_dataset(values: dict[str, Any]) -> None:
    parts = {"digits": {}, "fashion": {"dataset": {"name": "fashion_mnist"}}}
    values["dataset"]["root"] = "."
    config = load_config(with_variants(values, parts))
    assert {run.dataset.name for run in runs_of(config).values()} == {"digits", "fashion_mnist"}
    assert datasets_of(config)["fashion_mnist"].root == "."  # unless it says otherwise


def test_a_variant_whose_data_are_absent_is_left_out_if_it_may_be(values: dict[str, Any]) -> None:
    parts = {"digits": {}, "cifar": {"dataset": {"name": "cifar10"}}}

    def there(dataset: Dataset) -> bool:
        return dataset.name == "digits"

    refused: Config = load_config(with_variants(values, parts))
    assert without_absent(refused, there) == (refused, [])
    config, left_out = without_absent(
        load_config(with_variants(values, parts, absent="leave_out")), there
    )
    assert left_out == ["parts.cifar (cifar10)"]
    assert [cell.axes["variant"] for cell in expand(config, "parts")] == ["digits"]
    nothing, _ = without_absent(config, lambda dataset: False)
    assert nothing.experiments == {}


def test_a_variant_whose_own_files_are_absent_is_left_out_if_it_may_be(
    values: dict[str, Any], tmp_path: Path
) -> None:
    mine = {"kind": "npz", "path": str(tmp_path / "absent.npz")}
    parts = {"digits": {}, "mine": {"dataset": mine}}
    config, left_out = without_absent(
        load_config(with_variants(values, parts, absent="leave_out")), is_there
    )
    assert left_out == ["parts.mine (absent)"]
    assert [cell.axes["variant"] for cell in expand(config, "parts")] == ["digits"]
    with pytest.raises(ConfigError, match=r"absent\.npz"):
        load_config(with_variants(values, parts))


def test_no_experiment_has_the_name_of_anothers_second_figure(values: dict[str, Any]) -> None:
    one = values["experiments"]["reactivation"]
    values["experiments"] = {"a": one, "a_mechanism": one}
    with pytest.raises(ConfigError, match="the second figure of the experiment 'a'"):
        load_config(values)
    values["experiments"] = {"b": one, "a_mechanism": one}
    assert load_config(values)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"a": {"regimes": ["lzay"]}}, "parts.variants.a.regimes[0]: there is no regime 'lzay'"),
        ({"a": {"dataset": {"name": "cifar10", "test_samples": 3}}}, "a.dataset.test_samples: 3"),
        ({"a": {"model": {"kind": "mlp", "widht": 3}}}, "did you mean 'width'?"),
        ({"a": {"stream": {"kind": "frequency"}}}, "cannot be sampled by epochs"),
        ({"a": {"stream": {"kind": "single"}}}, "needs a boundary"),
        ({"a": {"stream": {"kind": "class_split", "steps": [5, 6]}}}, "not steps"),
        ({}, "compares variant"),
    ],
)
def test_mistakes_in_variants_are_told(
    parts: dict[str, Any], says: str, values: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(with_variants(values, parts))
    assert says in str(caught.value)


def test_presence_is_seen_by_names(tmp_path: Path) -> None:
    def there(name: str, **more: Any) -> bool:
        return is_there(Dataset.model_validate({"name": name, "root": str(tmp_path), **more}))

    assert there("digits")
    assert not there("cifar10")
    assert there("cifar10", download=True)
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py/data_batch_1").touch()
    assert there("cifar10")
    (tmp_path / "imagenet100/train").mkdir(parents=True)
    assert not there("imagenet100", download=True)
    (tmp_path / "imagenet100/val").mkdir()
    assert there("imagenet100")
