"""The label kernel on a kernel's eigenvectors, against its definition."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ntkscope.metrics import cosine_similarity, label_kernel, label_projection, spectrum

LABELS = np.asarray([3, 0, 3, 1, 1, 0, 0, 3])
Make = Callable[..., np.ndarray]


@pytest.mark.parametrize("outputs", [1, 3])
def test_it_is_its_definition(kernels: Make, outputs: int) -> None:
    batch = kernels(2, len(LABELS) * outputs)
    vectors, target = spectrum(batch).eigenvectors, label_kernel(LABELS, outputs)
    found = label_projection(vectors, LABELS, outputs)
    for place in np.ndindex(found.shape):
        vector = vectors[place[0], :, place[1]]
        expected = vector @ target @ vector / np.trace(target)
        np.testing.assert_allclose(found[place], expected, rtol=1e-12)


def test_weighted_with_the_eigenvalues_it_is_the_uncentred_alignment(kernels: Make) -> None:
    kernel, target = kernels(len(LABELS)), label_kernel(LABELS)
    found = spectrum(kernel)
    shares = label_projection(found.eigenvectors, LABELS)
    np.testing.assert_allclose(shares.sum(), 1, rtol=1e-12)
    inner = (shares * found.eigenvalues).sum() * np.trace(target)
    sizes = np.linalg.norm(kernel) * np.linalg.norm(target)
    np.testing.assert_allclose(inner / sizes, cosine_similarity(kernel, target), rtol=1e-12)


def test_the_label_kernels_own_eigenvectors_carry_it_whole() -> None:
    found = spectrum(label_kernel(LABELS))
    shares = label_projection(found.eigenvectors, LABELS)
    np.testing.assert_allclose(shares[:3], np.asarray([3, 3, 2]) / 8, rtol=1e-12)
    assert np.isnan(shares[3:]).all()
