"""Parts of the training of learning curves: orders, looks, groups, errors."""

import math

import numpy as np
import torch

from ntkscope.config.specs import ModelSpec
from ntkscope.models.zoo import define
from ntkscope.training.learning_curve.batches import Batches, SampleOrder
from ntkscope.training.learning_curve.members import groups_of, look_steps, members_of
from ntkscope.training.learning_curve.samples import CurveSamples
from ntkscope.training.learning_curve.scalar_losses import scalar_loss, zero_one_error
from tests.unit.training.learning_curve.conftest import make_networks


def test_an_order_is_a_permutation_each_epoch_however_it_is_asked():
    order = SampleOrder(3, 10)
    whole = order(0, 45)
    for epoch in range(4):
        assert sorted(whole[10 * epoch : 10 * epoch + 10]) == list(range(10))
    assert not np.array_equal(whole[:10], whole[10:20])
    again = SampleOrder(3, 10)
    assert np.concatenate([again(36, 45), again(0, 7), again(7, 36)])[9:].tolist() == (
        whole[:36].tolist()
    )
    assert not np.array_equal(SampleOrder(4, 10)(0, 10), whole[:10])


def test_reversed_batches_are_the_same_samples_in_reverse(task_path):
    spec = make_networks()
    members, samples = members_of(spec)[:2], CurveSamples(spec, task_path, torch.device("cpu"))
    for step in (0, 3, 200):
        drawn, turned = (Batches(members, samples, backwards)(step) for backwards in (False, True))
        for one, other in zip(drawn, turned, strict=True):
            torch.testing.assert_close(one.flip(1), other, rtol=0, atol=0)


def test_looks_are_log_spaced_and_end_with_the_budget():
    assert look_steps(1000, 4) == (1, 10, 100, 1000)
    assert look_steps(1, 5) == (1,)
    assert look_steps(7, 60) == (1, 2, 3, 4, 5, 6, 7)


def test_networks_of_equal_batches_train_together():
    def sizes(model, shape, **learning):
        spec = make_networks(sizes=(4, 12, 20), model=model, **learning)
        members = members_of(spec)
        found = groups_of(members, define(spec.model, shape, 1), shape)
        assert sorted(n for group in found for n in group.indices) == list(range(9))
        return [{members[n].samples for n in group.indices} for group in found]

    assert sizes({}, (6,)) == [{4}, {12, 20}]
    assert sizes({}, (6,), batch_size=None) == [{4}, {12}, {20}]
    wide = {"kind": "cnn5", "depth": 5, "width": 64}
    assert len(sizes(wide, (32, 32, 3))) == 9


def test_members_without_a_choice_keep_snapshots_of_the_most_samples():
    spec = make_networks(during=(5,)).model_copy(update={"during_samples": None})
    assert {m.samples for m in members_of(spec) if m.snapshots} == {48}


def test_losses_and_errors():
    f, y = torch.tensor([0.5, -2.0, 0.0, math.nan]), torch.tensor([1.0, 1.0, -1.0, 1.0])
    assert zero_one_error(f, y) == 0.75
    torch.testing.assert_close(scalar_loss("mse", f, y)[:3], torch.tensor([0.25, 9.0, 1.0]))
    expected = torch.tensor([math.log1p(math.exp(-0.5)), math.log1p(math.exp(2)), math.log(2)])
    torch.testing.assert_close(scalar_loss("logistic", f, y)[:3], expected)


def test_he_changes_the_identity_of_networks_and_the_default_does_not():
    plain = make_networks()
    same = make_networks(model={"initialisation": "pytorch"})
    assert plain.id == same.id
    assert make_networks(model={"initialisation": "he"}).id != plain.id
    assert ModelSpec(kind="cnn5", depth=5, width=4).initialisation == "pytorch"
