"""Roles: what a regime or a variant is to an analysis is said, never guessed from its name."""

from __future__ import annotations

from typing import Any

import pytest

from ntkscope.config import expand, load_config
from ntkscope.errors import ConfigError


def renamed(section: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """The section with other names for its parts."""
    return {names.get(key, key): value for key, value in section.items()}


def refused(values: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(values)
    return str(caught.value)


def test_a_role_and_a_name_change_no_run(values: dict[str, Any]) -> None:
    before = [cell.run.id for cell in expand(load_config(values), "controls")]
    controls = values["experiments"]["controls"]
    controls["variants"] = renamed(controls["variants"], {"widths": "many", "gradual": "slow"})
    controls["variants"]["slow"]["role"] = None
    cells = expand(load_config(values), "controls")
    assert [cell.run.id for cell in cells] == before
    roles = {cell.axes["variant"]: cell.facts["variant"]["role"] for cell in cells}
    assert (roles["many"], roles["slow"]) == ("widths", "")


def test_facts_are_of_the_run_not_of_the_name(values: dict[str, Any]) -> None:
    datasets = values["experiments"]["datasets"]
    datasets["variants"] = {
        "fashion_mnist": {"dataset": {"name": "fashion_mnist"}},
        "mine": {"model": {"kind": "cnn", "width": 4}},
    }
    facts = [cell.facts["variant"] for cell in expand(load_config(values), "datasets")]
    assert facts == [
        {"role": "", "dataset": "fashion_mnist", "title": "Fashion-MNIST", "model": "mlp"},
        {"role": "", "dataset": "digits", "title": "digits", "model": "cnn"},
    ]


@pytest.mark.parametrize(
    ("experiment", "variant"),
    [("controls", "widths"), ("frequency", "conceptual"), ("sequence", "five_by_two")],
)
def test_a_configuration_from_before_there_were_roles_is_told_the_key(
    experiment: str, variant: str, values: dict[str, Any]
) -> None:
    del values["experiments"][experiment]["variants"][variant]["role"]
    said = refused(values)
    assert f"experiments.{experiment}.variants.{variant}" in said
    assert f"add role: {variant}, or role: null" in said


def test_a_regime_from_before_there_were_roles_is_told_the_key(values: dict[str, Any]) -> None:
    del values["regimes"]["lazy"]["role"]
    assert "add role: lazy, or role: null" in refused(values)
    values["regimes"]["lazy"]["role"] = None
    load_config(values)


def test_an_unknown_role_is_refused_with_those_that_there_are(values: dict[str, Any]) -> None:
    values["experiments"]["controls"]["variants"]["widths"]["role"] = "width"
    said = refused(values)
    assert "'width' is no role of the analysis controls" in said
    assert "gradual, labels_shifted" in said
    values["experiments"]["controls"]["variants"]["widths"]["role"] = "gradual"
    assert "plays gradual already" in refused(values)


def test_an_unknown_role_of_a_regime_is_refused(values: dict[str, Any]) -> None:
    values["regimes"]["lazy"]["role"] = "lzay"
    assert "feature, lazy or ntk" in refused(values)


def test_a_role_that_an_analysis_needs_is_missed_before_work(values: dict[str, Any]) -> None:
    frequency = values["experiments"]["frequency"]
    frequency["variants"] = renamed(frequency["variants"], {"frequency": "mixed"})
    frequency["variants"]["mixed"]["role"] = None
    assert "the analysis frequency needs a variant with role: frequency" in refused(values)
