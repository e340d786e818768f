"""Labels that matplotlib cannot draw, and paths that no file can have: refused when read."""

from __future__ import annotations

from typing import Any

import pytest

from ntkscope.config import load_config
from ntkscope.errors import ConfigError

LABELS = {
    r"$\undefinedcommand$": "Unknown symbol",
    r"rate $\frac{1}$": "matplotlib cannot draw it",
    "$" + "{" * 50 + "$": "matplotlib cannot draw it",
    "two\nlines": "control character",
    "\0": "control character",
    "\ud800": "half of a surrogate pair",
    "x" * 200: "at most 120 characters",
}


@pytest.mark.parametrize("label", LABELS, ids=ascii)
def test_a_label_that_cannot_be_drawn_is_refused(label: str, values: dict[str, Any]) -> None:
    values["regimes"]["lazy"]["label"] = label
    with pytest.raises(ConfigError, match=r"regimes\.lazy\.label") as caught:
        load_config(values)
    assert LABELS[label] in str(caught.value)
    str(caught.value).encode()  # a terminal can show it


@pytest.mark.parametrize(
    "label", ["rate ∝ $1/n$", r"\$5 and $6", "costs $5", "レイジー", "a & b_%"]
)
def test_a_label_that_can_be_drawn_stays(label: str, values: dict[str, Any]) -> None:
    values["regimes"]["lazy"]["label"] = label
    assert load_config(values).regimes["lazy"].label == label


def test_labels_of_parts_of_learning_curves_are_checked_too(values: dict[str, Any]) -> None:
    curves = next(iter(values["learning_curves"].values()))
    curves["label"] = r"$\undefinedcommand$"
    with pytest.raises(ConfigError, match="Unknown symbol"):
        load_config(values)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("~no_such_user/x", "there is no home folder of ~no_such_user"),
        ("a\0b", "no file can be called so"),
        ("y" * 300, "no file can be called so"),
        ("x/" * 3000, "at most 4,000 characters"),
        ("", "dataset.root"),
        ("\ud800", "half of a surrogate pair"),
    ],
)
def test_a_path_that_no_file_can_have_is_refused(
    path: str, why: str, values: dict[str, Any]
) -> None:
    values["dataset"]["root"] = path
    with pytest.raises(ConfigError, match=r"dataset\.root") as caught:
        load_config(values)
    assert why in str(caught.value)


def test_a_sweep_of_too_many_points_is_refused_at_once(values: dict[str, Any]) -> None:
    reactivation = values["experiments"]["reactivation"]
    reactivation["model"]["width"] = list(range(1, 1001))
    reactivation["training"] = {"batch_size": list(range(1, 1001))}
    with pytest.raises(ConfigError, match="3,000,000 points, and may have 20,000"):
        load_config(values)
