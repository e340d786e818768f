"""Each kind of broken configuration gives one message of file, line, key, value and the allowed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from ntkscope.config import load_config, load_files
from ntkscope.errors import ConfigError

REACTIVATION = ("experiments", "reactivation")
REMOVED = object()


@dataclass(frozen=True)
class Broken:
    """Values to set by dotted key (under experiments.reactivation where it begins with a dot)."""

    name: str
    changes: Mapping[str, Any]
    named: tuple[str, ...]

    def apply(self, values: dict[str, Any]) -> dict[str, Any]:
        for key, value in self.changes.items():
            *parents, last = path(key)
            section = values
            for part in parents:
                section = section.setdefault(part, {})
            if value is REMOVED:
                del section[last]
            else:
                section[last] = value
        return values


def path(key: str) -> tuple[str, ...]:
    """`.model.width` as ("experiments", "reactivation", "model", "width")."""
    return (*REACTIVATION, *key[1:].split(".")) if key.startswith(".") else tuple(key.split("."))


BROKEN = [
    Broken(
        "key typo", {".model.widht": 3}, ("model.widht", "mean 'width'", "depth, width, activation")
    ),
    Broken("top key typo", {"sedes": [1]}, ("sedes", "did you mean 'seeds'", "dataset")),
    Broken("section typo", {".trainin": {}}, (".trainin", "did you mean 'training'", "snapshots")),
    Broken(
        "key of another section",
        {".training.learning_rate": 0.1},
        ("training.learning_rate", "belongs to regimes.NAME", "momentum"),
    ),
    Broken(
        "key in the wrong section",
        {".width": 64},
        ("reactivation.width", "belongs to experiments.reactivation.model", "analysis"),
    ),
    Broken(
        "no kind",
        {".model.kind": REMOVED},
        ("reactivation.model", "needs a kind", "mlp | cnn | cnn5 | myrtle5 | myrtle7 | myrtle10"),
    ),
    Broken(
        "kind typo as a key",
        {".model.kind": REMOVED, ".model.knid": "mlp"},
        ("reactivation.model", "by 'knid', did you mean 'kind'", "mlp | cnn"),
    ),
    Broken(
        "kind typo",
        {".model.kind": "mpl"},
        (
            "model.kind",
            '"mpl"',
            "did you mean 'mlp'",
            "mlp, cnn, cnn5, myrtle5, myrtle7, myrtle10 or module",
        ),
    ),
    Broken("kind of another type", {".model.kind": 5}, ("model.kind", "5", "mlp, cnn")),
    Broken("no section", {".model": REMOVED}, ("model", "is required", "mlp, cnn, cnn5")),
    Broken("section is a word", {".model": "mlp"}, (".model", '"mlp"', "indented", "a kind: mlp")),
    Broken("section is a list", {".model": ["mlp"]}, (".model", '["mlp"]', "a kind: mlp")),
    Broken("empty section", {".training": None}, (".training", "nothing is written", "optimizer")),
    Broken("no analysis", {".analysis": REMOVED}, (".analysis", "is required", "reactivation")),
    Broken(
        "misspelt experiment",
        {"experiments.reactivaton": {"model": {"width": 64}}},
        ("reactivaton", "is incomplete", "did you mean experiments.reactivation"),
    ),
    Broken(
        "zero width", {".model.width": 0}, ("model.width", "0 is", "whole number from 1", "list")
    ),
    Broken(
        "width in a list", {".model.width": [64, 0]}, ("width[1]", "0 is", "whole number from 1")
    ),
    Broken(
        "word in a list", {".model.width": [64, "a"]}, ("width[1]", '"a"', "whole number from 1")
    ),
    Broken(
        "truth for a number", {".model.width": True}, ("width", "true", "not a number", "from 1")
    ),
    Broken("fraction", {".model.depth": 2.5}, ("model.depth", "2.5", "whole number from 1")),
    Broken("1e3", {".stream.steps": 1e3}, ("steps", "1000.0", "write 1000", "whole number from 1")),
    Broken(
        "quotes", {".model.width": "64"}, ("width", '"64"', "write 64 without quotes", "from 1")
    ),
    Broken(
        "no brackets", {".model.width": "64, 128"}, ("width", '"64, 128"', "[64, 128]", "from 1")
    ),
    Broken(
        "empty sweep", {".model.width": []}, ("model.width", "[]", "empty", "whole number from 1")
    ),
    Broken("repeats", {".model.width": [64, 64]}, ("width", "[64, 64]", "64 twice", "none twice")),
    Broken("no value", {".model.width": None}, ("width", "null", "nothing is written", "from 1")),
    Broken(
        "mapping for a value", {".model.width": {"from": 1}}, ("width", '{"from": 1}', "from 1")
    ),
    Broken("quoted truth", {".twin": "yes"}, (".twin", '"yes"', "without quotes", "true or false")),
    Broken("activation", {".model.activation": "rleu"}, ("activation", '"rleu"', "'relu'", "erf")),
    Broken("no seeds", {"seeds": []}, ("seeds", "[]", "empty", "at least one value")),
    Broken("one seed", {"seeds": 5}, ("seeds", "5", "write [5]", "whole number from 0")),
    Broken("equal seeds", {"seeds": [0, 1, 1]}, ("seeds", "[0, 1, 1]", "1 twice", "none twice")),
    Broken("negative seed", {"seeds": [0, -1]}, ("seeds[1]", "-1", "whole number from 0")),
    Broken("large seed", {"seeds": [0, 2**63]}, ("seeds[1]", "9223372036854775808 is", "2⁶³ − 1")),
    Broken(
        "1e-3",
        {"regimes.lazy.learning_rate": "1e-3"},
        ("lazy.learning_rate", '"1e-3"', "write 1.0e-3", "a number from 1e-12"),
    ),
    Broken(
        "1.5e3", {"regimes.lazy.learning_rate": "1.5e3"}, ("write 1.5e+3", "a number from 1e-12")
    ),
    Broken("zero rate", {"regimes.lazy.learning_rate": 0}, ("learning_rate", "0 is", "from 1e-12")),
    Broken(
        "inf", {"regimes.lazy.learning_rate": float("inf")}, ("Infinity", "finite", "from 1e-12")
    ),
    Broken(
        "weight_std without ntk",
        {"regimes.lazy.weight_std": 1.5},
        ("lazy.weight_std", "1.5", "parametrisation: standard", "parametrisation: ntk"),
    ),
    Broken("bias_std without ntk", {"regimes.lazy.bias_std": 0.1}, ("bias_std", "0.1", "ntk")),
    Broken(
        "unknown regime",
        {".regimes": ["feature", "laz"]},
        ("regimes[1]", "'laz'", "did you mean 'lazy'", "feature, lazy, ntk"),
    ),
    Broken("equal regimes", {".regimes": ["ntk", "ntk"]}, ("regimes", '"ntk" twice', "none twice")),
    Broken("no regimes", {"regimes": {}}, ("regimes", "empty", "at least one")),
    Broken(
        "no experiments",
        {"experiments": {}, "learning_curves": {}},
        ("experiments", "there is no experiment", "learning_curves"),
    ),
    Broken("experiments are null", {"experiments": None}, ("experiments", "nothing is written")),
    Broken(
        "experiment's name",
        {"experiments.re-activation": {}},
        ("'re-activation'", "lower-case letters, digits and _"),
    ),
    Broken("experiment is on", {"experiments": {True: {}}}, ("true", "quotes", "experiments")),
    Broken("regime's name", {"regimes.a/b": {}}, ("'a/b'", "lower-case letters")),
    Broken("too long a name", {"preset": "x" * 101}, ("preset", "at most 100 lower-case letters")),
    Broken("preset's name", {"preset": "../x"}, ("preset", '"../x"', "lower-case letters")),
    Broken(
        "dataset",
        {"dataset.name": "mnist"},
        ("dataset.name", '"mnist"', "did you mean 'fashion_mnist'", "digits, fashion_mnist"),
    ),
    Broken("CIFAR-10", {"dataset.name": "CIFAR-10"}, ("did you mean 'cifar10'", "svhn")),
    Broken("root", {"dataset.root": "/no/such"}, ("dataset.root", "'/no/such'", "download: true")),
    Broken("class list", {"dataset.class_list": "a.txt"}, ("class_list", "'a.txt'", "imagenet100")),
    Broken(
        "no class list",
        {"dataset": {"name": "imagenet100", "class_list": "a.txt"}},
        ("class_list", "no file 'a.txt'", "100 class folder names"),
    ),
    Broken("few images", {"dataset.train_samples": 5}, ("train_samples", "5", "whole number ≥ 10")),
    Broken("palette", {".figure.palette": "virids"}, ("palette", '"virids"', "'viridis'", "mako")),
    Broken("confidence", {".fits.confidence": 95}, ("confidence", "95", "> 0.5 and < 1")),
    Broken("two GPUs", {"resources.gpu": 2}, ("resources.gpu", "2", "from 0 to 1")),
    Broken(
        "too many classes",
        {".stream.classes_per_task": 6},
        ("stream", "2 tasks × 6 classes_per_task = 12", "the dataset has 10", "at most 10"),
    ),
    Broken("large probe", {".probe.samples": 5000}, ("probe.samples", "5000", "at most 650")),
    Broken("small probe", {".probe.samples": 4}, ("probe.samples", "4", "at least 5")),
    Broken("probe's task", {".probe.task": 3}, ("probe.task", "task 3", "from 1 to 2")),
    Broken("batch", {".training.batch_size": 1000}, ("training.batch_size", "1000", "at most 650")),
    Broken(
        "momentum of adam",
        {".training.optimizer": "adam", ".training.momentum": 0.9},
        ("training.momentum", "0.9", "adam", "optimizer: sgd"),
    ),
    Broken(
        "frequencies by epochs",
        {".stream": {"kind": "frequency"}},
        ("training.sampling", "epochs", "sampling: independent"),
    ),
    Broken(
        "deep for small images",
        {".model": {"kind": "cnn", "depth": [2, 4]}},
        ("model", "cnn halves the image 4 times", "8 pixels", "larger images"),
    ),
    Broken(
        "no function",
        {".model": {"kind": "module", "function": "mynets.build"}},
        ("model.function", '"mynets.build"', "allowed: package.module:function"),
    ),
    Broken(
        "argument's name",
        {".model": {"kind": "module", "function": "a:b", "arguments": {"no-name": 1}}},
        ("arguments", "'no-name' is not a name that Python", "no digit first"),
    ),
    Broken(
        "argument's value",
        {".model": {"kind": "module", "function": "a:b", "arguments": {"sizes": [[1, 2]]}}},
        ("arguments.sizes[0]", "[1, 2]", "true, false, a number or text"),
    ),
]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
def test_message_names_file_key_value_and_what_is_allowed(
    broken: Broken, values: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(broken.apply(values), sort_keys=False), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_files(file)
    message = str(caught.value)
    assert [words for words in (*broken.named, f"{file}, line ") if words not in message] == []
    assert message.count("where: ") == 1


def test_all_mistakes_are_told_at_once(values: dict[str, Any]) -> None:
    values["seeds"], values["dataset"]["name"] = [], "mnist"
    with pytest.raises(ConfigError, match=r"(?s)2 mistakes.*dataset\.name.*seeds"):
        load_config(values)


def test_a_missing_key_that_is_misspelt_is_one_mistake(values: dict[str, Any]) -> None:
    experiment = values["experiments"]["reactivation"]
    experiment["modle"] = experiment.pop("model")
    with pytest.raises(ConfigError, match=r"a mistake\n.*modle.*did you mean 'model'"):
        load_config(values)


def test_what_the_default_cannot_run_on_ones_own_data_can_be_left_out(tmp_path: Path) -> None:
    labels = np.arange(90) % 3
    np.savez(tmp_path / "mine.npz", images=np.zeros((90, 8, 8), np.uint8), labels=labels)
    own = tmp_path / "mine.yaml"
    dataset = {"kind": "npz", "path": str(tmp_path / "mine.npz")}
    own.write_text(yaml.safe_dump({"preset": "mine", "dataset": dataset}), encoding="utf-8")
    with pytest.raises(ConfigError, match="add --replace-workflow-config") as error:
        load_files("config/config.yaml", own)
    assert "10 classes, but the dataset has 3" in error.value.what
    stream = {"kind": "class_split", "tasks": 2, "classes_per_task": 2, "steps": 12}
    values = yaml.safe_load(Path("config/test/mini.yaml").read_text(encoding="utf-8"))
    values["experiments"]["reactivation"]["stream"] = stream
    own.write_text(yaml.safe_dump({**values, "dataset": dataset}), encoding="utf-8")
    with pytest.raises(ConfigError, match="4 classes, but the dataset has 3") as error:
        load_files(own)
    assert "replace-workflow-config" not in str(error.value)
