"""A data set is one file: dropped into the folder of sources, it is known everywhere."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import ntkscope
from ntkscope.config import datasets, datasets_of, load_config, runs_of
from ntkscope.config.diagnostics.allowed import schema, words
from ntkscope.config.sections import Dataset
from ntkscope.config.specs import DatasetSpec
from ntkscope.data import load_samples, prepare_data, sources
from ntkscope.data.sources import is_there
from ntkscope.errors import ConfigError, DataError
from ntkscope.identity import sources_digest

ROOT = Path(__file__).parents[3]
STRIPES = '''
"""Stripes: images 4×4 of two classes."""

import numpy as np

from ntkscope.config.datasets import DatasetFacts, Source
from ntkscope.data.sources.base import Samples, in_memory


def open_stripes(dataset):
    images = np.random.default_rng(0).integers(0, 9, (40, 4, 4, 1), dtype=np.uint8)
    split = in_memory(images, np.arange(40) % 2)
    return Samples(split, split, ("across", "along"), ("made here",))


DATASET = Source(
    title="stripes",
    facts=DatasetFacts(classes=2, shape=(4, 4, 1), train_per_class=20),
    open=open_stripes,
    is_there=lambda dataset: True,
    licence="CC0",
    citation="nobody",
)
'''


def forget() -> None:
    """What was looked up before."""
    datasets._sources.cache_clear()
    schema.cache_clear()


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file more in the folder of sources, to be written."""
    monkeypatch.setattr(sources, "__path__", [*sources.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    forget()
    yield tmp_path / "stripes.py"
    sys.modules.pop("ntkscope.data.sources.stripes", None)
    forget()


@pytest.fixture
def stripes(source: Path) -> None:
    """The file of the stripes."""
    source.write_text(STRIPES, encoding="utf-8")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (STRIPES.replace("DATASET =", "DATA ="), "stripes.py defines no DATASET"),
        (STRIPES.replace("DATASET = Source(", "DATASET = dict("), "stripes.py defines no DATASET"),
        (STRIPES.replace('    licence="CC0",\n', ""), "stripes.py cannot be made.*'licence'"),
        (STRIPES.replace("licence=", "license="), "stripes.py cannot be made.*'license'"),
        (STRIPES.replace("classes=2, ", ""), "stripes.py cannot be made.*'classes'"),
    ],
)
def test_a_file_that_is_no_data_set_is_told(source: Path, wrong: str, says: str) -> None:
    source.write_text(wrong, encoding="utf-8")
    with pytest.raises(ConfigError, match=says):
        sources.discover()


def test_samples_are_held_against_the_facts(source: Path, tmp_path: Path) -> None:
    source.write_text(STRIPES.replace("train_per_class=20", "train_per_class=21"), "utf-8")
    dataset, spec = Dataset.model_validate({"name": "stripes"}), DatasetSpec(name="stripes")
    with pytest.raises(DataError, match="a class has 20 training samples, not 21") as caught:
        prepare_data(dataset, spec, tmp_path / "out.zarr", tmp_path / "state", {})
    assert "if this source is your own" in str(caught.value)


def test_a_new_file_is_a_data_set(stripes: None, tmp_path: Path) -> None:
    values = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    experiment = {**values["experiments"]["reactivation"], "analysis": "table"}
    experiment["stream"] = {"kind": "relabel", "classes": 2, "change": "permute"}
    experiment["training"], experiment["probe"] = {"batch_size": 8}, {"samples": 4}
    values["experiments"] = {"own": experiment}
    values["dataset"] = {"name": "stripe"}
    with pytest.raises(ConfigError, match="did you mean 'stripes'"):
        load_config(values)
    assert "stripes" in words(schema()["$defs"]["Dataset"]["properties"]["name"])
    values["dataset"] = {"name": "stripes"}
    config = load_config(values)
    (dataset,) = datasets_of(config).values()
    assert is_there(dataset)
    spec = next(iter(runs_of(config).values())).dataset
    prepare_data(dataset, spec, tmp_path / "out.zarr", tmp_path / "state", {})
    assert load_samples(tmp_path / "out.zarr").classes == ("across", "along")


def test_every_published_data_set_has_a_file_of_its_name() -> None:
    folder = Path(sources.__path__[0])
    assert {"digits", "cifar10", "cifar100", "svhn"} <= set(datasets.DATASETS)
    assert all((folder / f"{name}.py").is_file() for name in datasets.DATASETS)
    assert datasets.kinds() == ["published", "folder", "npz"]
    with pytest.raises(KeyError):
        datasets.DATASETS["npz"]


def test_a_source_counts_as_code_of_the_stage(tmp_path: Path) -> None:
    package = tmp_path / "ntkscope"
    shutil.copytree(Path(ntkscope.__file__).parent, package)
    before = sources_digest(package, "ntkscope.data.prepare")
    assert before == sources_digest(Path(ntkscope.__file__).parent, "ntkscope.data.prepare")
    with (package / "data" / "sources" / "svhn.py").open("a") as file:
        file.write("MORE = 1\n")
    assert sources_digest(package, "ntkscope.data.prepare") != before
    assert sources_digest(package, "ntkscope.training.task") == sources_digest(
        Path(ntkscope.__file__).parent, "ntkscope.training.task"
    )


def test_reading_a_configuration_loads_no_store_and_no_torch() -> None:
    heavy = "torch", "torchvision", "zarr", "xarray", "sklearn", "PIL", "pooch"
    code = (
        "import sys; from ntkscope.config import load_files; load_files('config/config.yaml'); "
        f"print([m for m in {heavy!r} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
