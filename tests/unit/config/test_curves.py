"""Experiments of learning curves: what they expand to, what they share, what is refused."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from ntkscope.config import load_config, without_absent
from ntkscope.config.curve_specs import LearningSpec
from ntkscope.config.curves import FLOAT32_RIDGE, expand_curves
from ntkscope.config.repeats import REPEATED, repeated_curves
from ntkscope.config.sections.base import NAME
from ntkscope.errors import ConfigError
from ntkscope.ntk.regression.ridge_scale import FLOORS

SAMPLES = {"network": [20, 40], "kernel": [10, 20], "validation": 10, "test": 30}


def configuration(**experiment: Any) -> dict[str, Any]:
    pairs = {"analysis": "table", "samples": SAMPLES, **experiment}
    return {"preset": "test", "seeds": [0, 1], "learning_curves": {"pairs": pairs}}


def curves(**experiment: Any) -> Any:
    return expand_curves(load_config(configuration(**experiment)), "pairs")


def refused(**experiment: Any) -> str:
    with pytest.raises(ConfigError) as error:
        load_config(configuration(**experiment))
    return str(error.value)


def test_kernels_before_training_are_shared_by_all_widths():
    first, second = curves(network={"width": [8, 16]}, kernels={"after": [20]})
    sources = [(spec.source, spec.network.width) for spec in first.regressions]
    assert sources == [("infinite", 1), ("initial", 8), ("initial", 16), ("after", 8)]
    assert [spec.source for spec in second.regressions] == ["after"]


def test_infinite_kernel_depends_neither_on_width_nor_on_initialisation():
    one, other = (
        curves(network={"width": width, "initialisation": how})[0].regressions[0]
        for width, how in ((8, "pytorch"), (16, "he"))
    )
    assert one.id == other.id
    assert one.model.parametrisation == "ntk"


def test_a_repeat_trains_anew_and_shares_the_kernels_of_untrained_networks():
    once = curves(kernels={"after": [20], "during": [3]}, learning={"snapshots": [3]})
    (one,), (again,) = once, repeated_curves(once)
    assert again.networks.id != one.networks.id
    shared = {spec.source for spec in one.regressions if spec in again.regressions}
    assert shared == {"infinite", "initial"}
    assert {spec.networks.id for spec in again.regressions if spec.networks} == {again.networks.id}


def test_a_repeats_name_is_one_folder_and_nobody_elses():
    assert "/" not in REPEATED
    assert not re.match(NAME, f"{REPEATED}pairs")


def test_rate_follows_the_width():
    scaled = {"learning_rate": 0.02, "scaling": "inverse_width", "full_rate_width": 16}
    found = curves(network={"width": [8, 16, 64]}, learning=scaled)
    assert [each.networks.learning.learning_rate for each in found] == [0.02, 0.02, 0.005]


def test_cosmetics_are_no_identity():
    plain, named = curves()[0], curves(label="another", parts={"one": {"label": "x"}})[0]
    assert plain.networks.id == named.networks.id
    assert [spec.id for spec in plain.regressions] == [spec.id for spec in named.regressions]


def test_memory_is_no_identity_and_ridges_are():
    """As the advice says where conjugate gradients do not converge."""
    values = configuration()
    experiment = values["learning_curves"]["pairs"]

    def ids(more: dict[str, Any]) -> tuple[list[str], list[str]]:
        found = expand_curves(load_config({**values, **more}), "pairs")
        return [each.networks.id for each in found], [s.id for c in found for s in c.regressions]

    networks, regressions = ids({})
    assert ids({"resources": {"mem_mb": 64_000}}) == (networks, regressions)
    experiment["kernels"] = {"ridges": [1e-3, 1e-1, 10.0]}
    others = ids({})
    assert others[0] == networks
    assert not {*others[1]} & {*regressions}


def test_budget_in_epochs_but_no_fewer_steps():
    learning = curves(learning={"epochs": 60, "steps_at_least": 3000})[0].networks.learning
    assert (learning.budget(250), learning.budget(8000)) == (3000, 15000)
    whole = learning.model_copy(update={"batch_size": None})
    assert whole.budget(8000) == 3000


def test_another_rule_of_budgets_makes_other_networks_and_regressions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (each,) = curves(kernels={"after": [20]})
    before = [each.networks.id, *(spec.id for spec in each.regressions)]
    monkeypatch.setattr(LearningSpec, "budget", lambda self, samples: 7)
    (again,) = curves(kernels={"after": [20]})
    after = [again.networks.id, *(spec.id for spec in again.regressions)]
    assert [a == b for a, b in zip(after, before, strict=True)] == [False, True, True, False]


def test_samples_are_as_many_as_a_job_needs_itself():
    (each,) = curves(kernels={"after": [20]})
    counts = [spec.counts for spec in (each.networks, *each.regressions)]
    found = [(c.train, c.fresh, c.validation, c.test) for c in counts]
    assert found == [(40, 0, 10, 30), (20, 0, 0, 30), (20, 0, 0, 30), (20, 20, 0, 30)]


def test_what_is_not_given_is_as_in_the_experiment_named_by_like():
    values = configuration(learning={"learning_rate": 0.5}, kernels={"initial": [4]})
    values["learning_curves"]["other"] = {
        "analysis": "table",
        "like": "pairs",
        "kernels": {},
    }
    config = load_config(values)
    pairs, other = (expand_curves(config, name)[0] for name in ("pairs", "other"))
    assert other.networks.id == pairs.networks.id
    assert [spec.network.width for spec in pairs.regressions] == [1, 4]
    assert [spec.network.width for spec in other.regressions] == [1, 64]


def test_like_names_learning_curves_that_are_there_and_no_chain():
    with pytest.raises(ConfigError, match="no learning curves 'pears'"):
        load_config(configuration(like="pears"))


@pytest.mark.parametrize(
    ("experiment", "words"),
    [
        ({"kernels": {"after": [30]}}, "no network is trained on 30 samples"),
        ({"kernels": {"during": [5]}}, "no parameters are kept at step 5"),
        ({"learning": {"snapshots": [9999]}}, "step 9999 is after the end of training, 3000 steps"),
        (
            {"learning": {"snapshots": [5], "snapshot_samples": 30}},
            "no network is trained on 30 samples",
        ),
        ({"network": {"parametrisation": "ntk", "initialisation": "he"}}, "no meaning for"),
        ({"network": {"kind": "myrtle5"}, "task": {"name": "single_index"}}, "cannot be given vec"),
        ({"network": {"kind": "cnn", "depth": 4}}, "halves the image 4 times"),
        ({"task": {"name": "two_groups"}}, "two_groups needs a dataset"),
        ({"task": {"name": "digit_pairs", "positive": [1]}}, "has no positive to choose"),
        ({"parts": {"one": {"role": "claim"}}}, "'claim' is no role of the analysis table"),
        ({"task": {"name": "digit_pears"}}, "digit_pairs"),
        ({"learning": {"loss": "logistic"}, "task": {"name": "gaussian_process"}}, "needs targets"),
        (
            {"task": {"name": "two_groups", "dataset": {"name": "digits"}, "positive": [11]}},
            "no class 11",
        ),
        ({"task": {"name": "gaussian_process"}, "samples": {"network": [9000]}}, "at most"),
        ({"task": {"name": "digit_pairs", "negative": [1]}}, "has no negative to choose"),
        ({"fits": {"range": [80, 20]}}, "a list of two, the first the smaller"),
        ({"fits": {"range": [20]}}, "a list of two, the first the smaller"),
        ({"learning": {"snapshots": [3, 3]}}, "holds 3 twice"),
        ({"kernels": {"initial": [8, 8]}}, "holds 8 twice"),
        ({"learning": {"epochs": 1.0e9}}, "would never end"),
        ({"learning": {"epochs": 1.0e30}}, "a number from 1e-12 to 1e+12"),
        ({"learning": {"learning_rate": 1.0e300}}, "a number from 1e-12 to 1e+12"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(experiment, words):
    assert words in refused(**experiment)


def test_seeds_that_no_store_can_hold_are_refused():
    with pytest.raises(ConfigError, match=r"seeds\[1\]: 9223372036854775808 is not allowed"):
        load_config({**configuration(), "seeds": [0, 2**63]})


@pytest.mark.parametrize(
    ("dataset", "samples", "words"),
    [
        ({"name": "digits"}, {"network": [300]}, "at most 240 training and fresh samples"),
        ({"name": "digits", "train_samples": 100}, {"network": [18]}, "at most 17 training"),
        ({"name": "fashion_mnist"}, {"network": [10_001]}, "at most 10000 training"),
        ({"name": "fashion_mnist"}, {"test": 2001}, "at most 2000 test samples"),
        ({"name": "digits"}, {"validation": 49}, "at most 48 validation samples"),
    ],
)
def test_two_groups_have_no_more_samples_than_their_classes(dataset, samples, words):
    task = {"name": "two_groups", "dataset": dataset, "positive": [0], "negative": [1]}
    assert words in refused(task=task, samples={**SAMPLES, "kernel": [10], **samples})


def test_two_groups_of_ones_own_files_have_as_many_samples_as_these(tmp_path):
    vectors, labels = np.ones((60, 4)), np.arange(60) % 3
    np.savez(tmp_path / "mine.npz", inputs=vectors, labels=labels)
    dataset = {"kind": "npz", "path": str(tmp_path / "mine.npz")}
    task = {"name": "two_groups", "dataset": dataset, "positive": [0]}
    samples = {"network": [20, 30], "kernel": [10], "validation": 8}
    assert "at most 12 test samples" in refused(task=task, samples=samples)


def test_kernels_that_memory_surely_does_not_hold_are_refused():
    values = configuration(samples={**SAMPLES, "kernel": [20, 40_000]})
    load_config({**values, "resources": {"mem_mb": 3000}})  # by tiles
    with pytest.raises(ConfigError, match=r"40000 samples take 2\.\d GB or more.* gives 2\.0 GB"):
        load_config({**values, "resources": {"mem_mb": 2000}})


def test_ridges_below_rounding_alone_are_refused():
    assert FLOORS["float32"] == FLOAT32_RIDGE
    kernels = {"ridges": [1.0e-9, 1.0e-8]}
    assert "the rounding of kernels in float32" in refused(kernels=kernels)
    curves(kernels={**kernels, "precision": "float64"})
    curves(kernels={"ridges": [1.0e-9, 1.0e-6]})


def test_a_curve_that_the_range_of_the_fits_leaves_no_exponent_is_refused():
    samples = {**SAMPLES, "network": [20, 40, 80]}
    words = "of the n = 20, 40, 80 only 1 are in fits.range, 30 to 60, and an exponent needs 3"
    assert words in refused(samples=samples, fits={"range": [30, 60]})
    curves(samples=samples, fits={"range": [20, 80]})


def test_the_one_part_of_an_experiment_is_called_as_its_task():
    (each,) = curves()
    assert (each.part, each.label) == ("all", each.title)


@pytest.mark.parametrize(
    "wrong",
    [
        {"sizes": (40, 20)},
        {"sizes": (20, 20)},
        {"during": (3, 5), "during_samples": 30},
        {"during": (5, 3), "during_samples": 20},
        {"during": (3,)},
        {"during_samples": 20},
    ],
)
def test_networks_made_without_a_configuration_are_checked_too(wrong):
    networks = curves()[0].networks
    fields = {name: getattr(networks, name) for name in type(networks).model_fields}
    with pytest.raises(ConfigError, match=r"sort them|none of the sizes"):
        type(networks)(**{**fields, **wrong})


def test_tokens_are_no_samples_of_a_task(tmp_path):
    tokens, labels = np.zeros((30, 4), np.int64), np.arange(30) % 3
    np.savez(tmp_path / "words.npz", inputs=tokens, labels=labels)
    dataset = {"kind": "npz", "path": str(tmp_path / "words.npz")}
    task = {"name": "two_groups", "dataset": dataset, "positive": [0]}
    assert "words holds tokens" in refused(task=task)


ABSENT = {"name": "two_groups", "dataset": {"kind": "npz", "path": "no.npz"}, "positive": [0]}


def test_a_part_of_files_of_ones_own_that_are_not_here_may_be_left_out():
    parts = {"here": {}, "away": {"task": ABSENT}}
    assert "cannot be read" in refused(parts=parts)
    config = load_config(configuration(parts=parts, absent="leave_out"))
    config, left_out = without_absent(config, lambda dataset: dataset.kind == "published")
    assert left_out == ["pairs.away (no)"]
    assert list(config.learning_curves["pairs"].parts) == ["here"]


def test_an_experiment_without_parts_is_one_part_that_may_be_left_out():
    config = load_config(configuration(task={"name": "cifar10_animals"}, absent="leave_out"))
    config, left_out = without_absent(config, lambda dataset: False)
    assert (config.learning_curves, left_out) == ({}, ["pairs (cifar10)"])


def test_what_is_like_an_experiment_stays_so_when_that_is_left_out():
    values = configuration(
        parts={"away": {"task": {"name": "cifar10_animals"}}}, absent="leave_out"
    )
    values["learning_curves"]["other"] = {"analysis": "table", "like": "pairs"}
    config, _ = without_absent(load_config(values), lambda dataset: False)
    (each,) = expand_curves(config, "other")
    assert each.networks.sizes == (20, 40)


def test_no_experiment_at_all_is_refused():
    with pytest.raises(ConfigError, match="there is no experiment"):
        load_config({"preset": "test"})
