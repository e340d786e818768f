"""The probe: balanced, seeded, in class order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkscope.config.specs import KernelSpec
from ntkscope.data import choose_probe
from ntkscope.errors import DataError

LABELS = np.random.default_rng(0).permutation(np.arange(400) % 10)


def spec(samples: int, classes: tuple[int, ...] = (4, 1, 7), seed: int = 0) -> KernelSpec:
    labels = tuple(range(len(classes)))
    return KernelSpec(samples=samples, seed=seed, classes=classes, labels=labels)


@given(
    st.integers(4, 100),
    st.lists(st.integers(0, 9), min_size=3, max_size=10, unique=True).map(tuple),
    st.integers(0, 2**40),
)
def test_a_probe_is_balanced_distinct_and_in_class_order(
    samples: int, classes: tuple[int, ...], seed: int
) -> None:
    probe = choose_probe(LABELS, spec(samples, classes, seed))
    each, remainder = divmod(samples, len(classes))
    counts = [each + (i < remainder) for i in range(len(classes))]
    np.testing.assert_array_equal(probe.label, np.repeat(np.arange(len(classes)), counts))
    np.testing.assert_array_equal(LABELS[probe.index], np.repeat(classes, counts))
    assert np.unique(probe.index).size == samples
    assert probe.index.dtype == probe.label.dtype == np.int64


def test_a_probe_is_decided_by_its_seed() -> None:
    one, again = choose_probe(LABELS, spec(30)), choose_probe(LABELS, spec(30))
    other = choose_probe(LABELS, spec(30, seed=1))
    np.testing.assert_array_equal(one.index, again.index)
    assert one.digest == again.digest != other.digest
    assert set(one.index) != set(other.index)


def test_a_larger_probe_holds_the_smaller() -> None:
    small, large = choose_probe(LABELS, spec(10)), choose_probe(LABELS, spec(50))
    assert set(small.index) < set(large.index)


def test_a_class_with_too_few_images_is_refused() -> None:
    with pytest.raises(DataError, match=r"set probe\.samples to at most 120"):
        choose_probe(LABELS, spec(121))
