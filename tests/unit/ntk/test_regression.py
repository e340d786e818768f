"""Kernel ridge regression against dense float64 solves and brute-force refits."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.linalg import LinearOperator

from ntkscope.ntk.regression import (
    IterativeSolver,
    KernelRidge,
    RegressionError,
    RidgeWarning,
    cholesky,
    choose_ridge,
    decompose,
    default_grid,
    loo_errors,
    nystrom,
    search_ridge,
)
from ntkscope.ntk.regression.conjugate_gradients import conjugate_gradients
from ntkscope.ntk.regression.kernel_arrays import multiply
from ntkscope.ntk.regression.loocv import loo_residuals

METHODS = pytest.mark.parametrize("method", ["direct", "cg"])
PRECISE = {"tolerance": 1e-13}


def problem(n=30, outputs=(), seed=0, scale=1.0, dim=5):
    """A kernel of decaying spectrum, its cross kernel with 7 new samples, and targets."""
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((n + 7, dim))
    distances = ((x[:, None] - x) ** 2).sum(-1)
    kernel = scale * np.exp(-distances / (2 * dim))
    return kernel[:n, :n], kernel[n:, :n], generator.standard_normal((n, *outputs))


def oracle(kernel, targets, ridge):
    """(K + ridge · mean(diag K) I)⁻¹ y."""
    shift = ridge * np.trace(kernel) / len(kernel)
    return np.linalg.solve(kernel + shift * np.eye(len(kernel)), targets)


def close(found, expected, tolerance=1e-10):
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


@METHODS
@pytest.mark.parametrize("outputs", [(), (1,), (3,)], ids=str)
def test_weights_and_predictions_equal_a_dense_solve(method, outputs):
    K, cross, y = problem(outputs=outputs, scale=50.0)
    fitted = KernelRidge(1e-3, method=method, **PRECISE).fit(K, y)
    assert fitted.weights.shape == y.shape
    close(fitted.weights, oracle(K, y, 1e-3), 1e-9)
    close(fitted.predict(cross), cross @ oracle(K, y, 1e-3), 1e-9)


@given(n=st.integers(1, 25), ridge=st.floats(1e-6, 1e3), seed=st.integers(0, 99))
def test_conjugate_gradients_equal_cholesky(n, ridge, seed):
    K, _, y = problem(n, (2,), seed)
    direct = KernelRidge(ridge, method="direct").fit(K, y)
    iterative = KernelRidge(ridge, method="cg", tolerance=1e-9, rank=5).fit(K, y)
    close(iterative.weights, direct.weights, 1e-8 * direct.condition_number)


@pytest.mark.filterwarnings("ignore::ntkscope.ntk.regression.RidgeWarning")
@pytest.mark.parametrize("ridge", [0.3, 1e-4, "loo"])
def test_outputs_are_fitted_by_themselves_for_one_ridge(ridge):
    K, _, y = problem(outputs=(3,))
    together = KernelRidge(ridge).fit(K, y)
    alone = [KernelRidge(together.ridge).fit(K, column).weights for column in y.T]
    close(together.weights, np.stack(alone, 1), 1e-9)


def test_the_regression_itself_predicts_by_its_last_fit():
    K, x, y = problem(12)
    regression = KernelRidge(1e-2)
    with pytest.raises(RegressionError, match="nothing was fitted yet"):
        regression.predict(x)
    with pytest.raises(
        AttributeError, match=r"what `fit` returns has it\. fitted = (.|\n)*weights"
    ):
        _ = regression.weights
    with pytest.raises(AttributeError, match="has no attribute 'score'"):
        _ = regression.score
    fitted = regression.fit(K, y)
    np.testing.assert_array_equal(regression.predict(x), fitted.predict(x))
    regression.fit(K, 2 * y, y)
    np.testing.assert_allclose(regression.predict(x, np.zeros(7)), fitted.predict(x), rtol=1e-12)
    with pytest.raises(RegressionError, match="fitted with an offset"):
        regression.predict(x)
    assert copy.deepcopy(regression) == regression == KernelRidge(1e-2)
    assert hash(regression) == hash(KernelRidge(1e-2))
    assert repr(regression) == repr(KernelRidge(1e-2))


@METHODS
def test_order_of_the_samples_does_not_matter(method):
    K, cross, y = problem(outputs=(2,))
    order = np.random.default_rng(1).permutation(len(K))
    first = KernelRidge(1e-2, method=method, **PRECISE).fit(K, y)
    second = KernelRidge(1e-2, method=method, **PRECISE).fit(K[order][:, order], y[order])
    close(second.weights, first.weights[order])
    close(second.predict(cross[:, order]), first.predict(cross))


@pytest.mark.filterwarnings("ignore::ntkscope.ntk.regression.RidgeWarning")
def test_scale_of_the_kernel_does_not_matter_for_predictions():
    K, cross, y = problem()
    one, other = (KernelRidge("loo").fit(scale * K, y) for scale in (1.0, 1e8))
    assert one.ridge == pytest.approx(other.ridge)
    close(other.predict(1e8 * cross), one.predict(cross), 1e-8)


@METHODS
def test_limits_of_the_ridge(method):
    K, cross, y = problem(dim=40)
    huge = KernelRidge(1e9, method=method, **PRECISE).fit(K, y)
    close(huge.weights, y / (1e9 * np.trace(K) / len(K)), 1e-7)
    tiny = KernelRidge(1e-13, method=method, tolerance=1e-9).fit(K, y)
    close(K @ tiny.weights, y, 1e-7)
    close(tiny.predict(cross), cross @ np.linalg.solve(K, y), 1e-7)


def test_ridge_zero_interpolates():
    K, _, y = problem(dim=40)
    close(K @ KernelRidge(0.0).fit(K, y).weights, y)


@pytest.mark.parametrize("outputs", [(), (3,)], ids=str)
@pytest.mark.parametrize("ridge", [1e-6, 1e-2, 3.0])
def test_leave_one_out_equals_refits(ridge, outputs):
    K, _, y = problem(outputs=outputs)
    shift = ridge * np.trace(K) / len(K)
    expected = []
    for i in range(len(K)):
        kept = np.arange(len(K)) != i
        block = K[kept][:, kept] + shift * np.eye(len(K) - 1)
        expected.append(y[i] - K[i, kept] @ np.linalg.solve(block, y[kept]))
    close(loo_residuals(decompose(K), y, np.array([ridge]))[0], np.array(expected))
    close(KernelRidge(ridge).fit(K, y).loo_residuals, np.array(expected))


def test_leave_one_out_chooses_the_least_error():
    K, _, _ = problem(60)
    y = np.random.default_rng(2).multivariate_normal(np.zeros(60), K + 0.1 * np.eye(60))
    fitted = KernelRidge("loo").fit(K, y)
    errors = [np.mean(KernelRidge(r).fit(K, y).loo_residuals ** 2) for r in fitted.choice.grid]
    close(fitted.choice.squared, errors, 1e-7)
    assert fitted.ridge == fitted.choice.grid[np.argmin(errors)]
    assert 0.02 < fitted.ridge < 0.5  # the noise is 0.1 of the diagonal
    assert not fitted.choice.on_boundary
    close(fitted.loo_residuals, KernelRidge(fitted.ridge).fit(K, y).loo_residuals, 1e-9)


@pytest.mark.parametrize("outputs", [1, 3])
def test_leave_one_out_counts_misclassified_samples(outputs):
    K, _, scores = problem(50, (outputs,))
    labels = scores.argmax(1) if outputs > 1 else (scores[:, 0] > 0).astype(int)
    y = 2.0 * np.eye(3)[labels] - 1 if outputs > 1 else 2.0 * labels - 1
    grid = [1e-4, 1e-2, 1e-1, 1.0, 10.0]
    choice = choose_ridge(decompose(K), y, grid, "zero_one")
    predictions = y - loo_residuals(decompose(K), y, np.array(grid))
    guesses = predictions.argmax(-1) if outputs > 1 else predictions > 0
    expected = (guesses != labels).mean(1)
    np.testing.assert_allclose(choice.zero_one, expected)
    assert choice.zero_one[grid.index(choice.ridge)] == expected.min()


def labels_of(scores):
    """±1; of several outputs 1 where the largest is."""
    if scores.ndim == 2 and scores.shape[1] > 1:
        return np.where(scores == scores.max(1, keepdims=True), 1.0, -1.0)
    return np.sign(scores)


CLASSES = np.arange(30) % 3
NO_CLASSES = {
    "0 and 1": (CLASSES > 0, "values 0, 1"),
    "class numbers": (CLASSES + 1, "values 1, 2, 3"),
    "class numbers from 0, as a column": (np.arange(30)[:, None] % 5, "values 0, 1, 2 and 2 more"),
    "real": (CLASSES - 0.5, "values -0.5, 0.5, 1.5"),
    "several labels a sample": (np.eye(3)[CLASSES] + [0, 1, 0] > 0, "no output is the single"),
}


@pytest.mark.parametrize("slip", NO_CLASSES)
def test_targets_that_name_no_classes_have_no_zero_one_error(slip):
    K, _, _ = problem(30)
    y, says = NO_CLASSES[slip]
    model = KernelRidge(criterion="zero_one", grid=OFFSET_GRID, loo_samples=2)
    with pytest.raises(RegressionError, match=rf"needs targets ±1.*{says}"):
        model.fit(K, y)
    with pytest.raises(RegressionError, match=says):
        choose_ridge(decompose(K), y, OFFSET_GRID, "zero_one")
    squared = choose_ridge(decompose(K), 1.0 * y, OFFSET_GRID)
    assert np.isnan(squared.zero_one).all()
    assert np.isfinite(squared.squared).all()
    with pytest.raises(RegressionError, match=says):
        search_ridge(K, 1.0 * y, squared, "zero_one")
    with pytest.raises(RegressionError, match="squared, zero_one"):
        choose_ridge(decompose(K), 1.0 * y, OFFSET_GRID, "zero-one")


@pytest.mark.filterwarnings("ignore::ntkscope.ntk.regression.RidgeWarning")
def test_noisy_labels_want_the_ridge_of_labels_of_both_signs():
    K, y, _ = noisy_labels(())
    expected = KernelRidge(criterion="zero_one").fit(K, y).ridge
    assert KernelRidge(criterion="zero_one").fit(K, 3 * y).ridge == expected
    assert KernelRidge(criterion="zero_one").fit(K, np.eye(2)[(y > 0) * 1] - 0.5).ridge == expected


def refitted_without_each(K, y, f0, ridge):
    """Predictions of each sample from a fit of all others, n dense solves; f0 is added back."""
    shift, found = ridge * np.trace(K) / len(K), []
    for i in range(len(K)):
        kept = np.arange(len(K)) != i
        block = K[kept][:, kept] + shift * np.eye(len(K) - 1)
        found.append(f0[i] + K[i, kept] @ np.linalg.solve(block, (y - f0)[kept]))
    return np.array(found)


OFFSET_GRID = [1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0]


@pytest.mark.filterwarnings("ignore::ntkscope.ntk.regression.RidgeWarning")
@pytest.mark.parametrize("outputs", [(), (1,), (3,)], ids=str)
def test_leave_one_out_with_an_offset_classifies_offset_plus_prediction(outputs):
    K, cross, scores = problem(40, outputs, seed=3)
    y = labels_of(scores)
    f0 = 1.5 * np.random.default_rng(5).standard_normal(y.shape)
    left_out = np.stack([refitted_without_each(K, y, f0, ridge) for ridge in OFFSET_GRID])
    several = outputs == (3,)
    wrong = left_out.argmax(-1) != y.argmax(-1) if several else np.sign(left_out) != y
    zero_one = wrong.reshape(len(OFFSET_GRID), -1).mean(1)
    squared = ((y - left_out) ** 2).reshape(len(OFFSET_GRID), -1).mean(1)
    model = KernelRidge(grid=OFFSET_GRID, criterion="zero_one")
    fitted = model.fit(K, torch.from_numpy(y), torch.from_numpy(f0))
    close(fitted.choice.squared, squared, 1e-9)
    np.testing.assert_allclose(fitted.choice.zero_one, zero_one)
    assert fitted.ridge == OFFSET_GRID[min(range(6), key=lambda r: (zero_one[r], squared[r]))]
    new = np.random.default_rng(6).standard_normal((7, *outputs))
    close(fitted.predict(cross, new), new + cross @ oracle(K, y - f0, fitted.ridge), 1e-8)
    of_choice = loo_errors(fitted.loo_residuals, y)
    assert of_choice.zero_one == zero_one[OFFSET_GRID.index(fitted.ridge)]


@pytest.mark.filterwarnings("ignore::ntkscope.ntk.regression.RidgeWarning")
def test_an_offset_changes_the_choice_that_signs_of_residual_targets_would_make():
    K, _, scores = problem(40, seed=3)
    y, f0 = np.sign(scores), 1.5 * np.random.default_rng(5).standard_normal(40)
    given_it = KernelRidge(grid=OFFSET_GRID, criterion="zero_one").fit(K, y, f0)
    residuals = loo_residuals(decompose(K), y - f0, np.array(OFFSET_GRID))
    np.testing.assert_allclose(given_it.choice.squared, (residuals**2).mean(1), rtol=1e-12)
    of_signs = (np.sign(y - f0 - residuals) != np.sign(y - f0)).mean(1)
    assert np.abs(given_it.choice.zero_one - of_signs).max() > 0.1


@pytest.mark.parametrize("method", ["direct", "cg"])
def test_an_offset_of_zero_is_none(method):
    K, cross, y = problem(outputs=(2,))
    model = KernelRidge(1e-2, method=method, **PRECISE)
    with_it = model.fit(K, y, 0 * y).predict(cross, np.zeros((7, 2)))
    np.testing.assert_array_equal(with_it, model.fit(K, y).predict(cross))


@pytest.mark.filterwarnings("ignore::ntkscope.ntk.regression.RidgeWarning")
def test_a_prediction_of_zero_is_misclassified():
    K = np.eye(4)  # nothing is learnt of another sample
    choice = choose_ridge(decompose(K), [1.0, -1.0, -1.0, 1.0], [0.1, 1.0, 10.0], "zero_one")
    assert (choice.zero_one == 1).all()


@pytest.mark.parametrize("kind", ["torch", "numpy", "operator"])
@METHODS
def test_the_ridge_of_the_first_samples(method, kind):
    K, cross, scores = problem(60, seed=1)
    y, f0 = np.sign(scores), np.random.default_rng(5).standard_normal(60)
    options = {"grid": OFFSET_GRID, "criterion": "zero_one"}
    first = KernelRidge(**options).fit(K[:40, :40], y[:40], f0[:40])
    same = {"torch": torch.from_numpy, "numpy": np.asarray, "operator": operator}[kind](K)
    fitted = KernelRidge(method=method, loo_samples=40, **options, **PRECISE).fit(same, y, f0)
    assert fitted.ridge == first.ridge
    assert fitted.choice.samples == first.choice.samples == 40
    np.testing.assert_allclose(fitted.choice.squared, first.choice.squared)
    close(fitted.weights, oracle(K, y - f0, first.ridge), 1e-9)
    close(fitted.predict(cross, np.ones(7)), 1 + cross @ oracle(K, y - f0, first.ridge), 1e-9)


@pytest.mark.filterwarnings("ignore::ntkscope.ntk.regression.RidgeWarning")
def test_more_first_samples_than_there_are_is_all_of_them():
    K, _, y = problem(dim=40)
    all_of_them = KernelRidge(loo_samples=999, grid=OFFSET_GRID).fit(K, K @ y)
    np.testing.assert_array_equal(
        all_of_them.weights, KernelRidge(grid=OFFSET_GRID).fit(K, K @ y).weights
    )
    assert all_of_them.choice.samples == 30


def noisy_labels(outputs):
    K, _, _ = problem(80)
    noise = np.random.default_rng(2).standard_normal((80, *outputs))
    smooth = np.linalg.cholesky(K + 1e-9 * np.eye(80)) @ noise
    return K, labels_of(smooth + (0.2 if outputs else 0.5) * noise[::-1]), 0.1 * noise[::-1]


@pytest.mark.parametrize("criterion", ["squared", "zero_one"])
@pytest.mark.parametrize("outputs", [(), (3,)], ids=str)
@pytest.mark.parametrize("ridge", [1e-4, 10.0])
def test_a_search_ends_on_the_least_error_of_the_whole_grid(criterion, outputs, ridge):
    K, y, f0 = noisy_labels(outputs)
    exact = choose_ridge(decompose(K), y, np.logspace(-6, 2, 9), criterion, f0)
    assert exact.ridge not in (1e-4, 10.0)
    choice, factor = search_ridge(K, y, replace(exact, ridge=ridge), criterion, f0)
    assert choice.ridge == factor.ridge == exact.ridge
    assert (choice.samples, choice.edge, choice.on_boundary) == (80, 0, False)
    tried = np.isfinite(choice.squared)
    assert 3 <= tried.sum() < 9
    close(choice.squared[tried], exact.squared[tried], 1e-7)
    np.testing.assert_array_equal(choice.zero_one[tried], exact.zero_one[tried])


@pytest.mark.parametrize("kind", ["torch", "numpy", "operator"])
def test_a_search_from_the_ridge_of_the_first_samples(kind):
    K, y, f0 = noisy_labels(())
    exact = KernelRidge(grid=np.logspace(-6, 2, 9)).fit(K, y, f0)
    first = KernelRidge(grid=np.logspace(-6, 2, 9), loo_samples=12, method="direct")
    with pytest.warns(RidgeWarning, match="boundary"):
        assert first.fit(K, y, f0).ridge != exact.ridge
    same = {"torch": torch.from_numpy, "numpy": np.asarray, "operator": operator}[kind](K)
    found = replace(first, search=True).fit(same, y, f0)
    assert found.ridge == exact.ridge
    assert found.has_offset
    close(found.weights, exact.weights, 1e-9)


def test_a_search_at_a_lowest_ridge_that_does_nothing_is_on_no_boundary():
    K, _, y = problem(dim=40)
    K = K + np.eye(len(K))
    start = choose_ridge(decompose(K), K @ y, [1e-9, 1e-3, 1.0])
    choice, _ = search_ridge(K, K @ y, replace(start, ridge=1.0), "squared")
    assert (choice.ridge, choice.on_boundary) == (start.ridge, start.on_boundary) == (1e-9, False)


@pytest.mark.filterwarnings("ignore::ntkscope.ntk.regression.RidgeWarning")
def test_a_search_leaves_out_ridges_with_which_the_kernel_is_singular():
    K, _, y = problem(dim=2)
    start = KernelRidge(grid=[1e-6, 1e-4, 1e-2, 0.1]).fit(K, K @ y).choice
    assert start.edge == -1
    indefinite = K - 1e-3 * np.eye(len(K))
    choice, factor = search_ridge(indefinite, K @ y, start, "squared")
    assert choice.ridge == factor.ridge >= 1e-2
    assert np.isinf(choice.squared[:2]).all()
    with pytest.raises(RegressionError, match="not positive definite"):
        search_ridge(K - np.eye(len(K)) / 2, K @ y, start, "squared")


def test_a_search_ends_on_the_boundary_with_a_warning():
    K, _, y = problem(60)
    with pytest.warns(RidgeWarning, match="boundary"):
        fitted = KernelRidge(grid=[1e-9, 1e-6, 1e-3], loo_samples=30, search=True).fit(K, y)
    assert fitted.choice.edge == 1


@pytest.mark.filterwarnings("ignore::ntkscope.ntk.regression.RidgeWarning")
@pytest.mark.parametrize(
    ("grid", "edge"),
    [([10, 1e9], -1), ([1e-9, 1e-3], 1), ([100, 0.1, 1e-9], 0), ([0.1], 1), ([0.1, 0.1, 9], -1)],
)
def test_which_edge_of_the_grid(grid, edge):
    K, _, _ = problem(60)
    y = np.random.default_rng(2).multivariate_normal(np.zeros(60), K + 0.1 * np.eye(60))
    choice = KernelRidge(grid=grid).fit(K, y).choice
    assert choice.edge == edge
    assert choice.on_boundary == (edge != 0)


def test_an_edge_that_does_no_harm():
    K, _, y = problem(dim=40)
    with pytest.warns(RidgeWarning, match="boundary"):
        assert choose_ridge(decompose(K), K @ y, [1e-1, 1.0]).on_boundary
    choice = choose_ridge(decompose(K + np.eye(len(K))), K @ y, [1e-9, 1.0])
    assert choice.edge == -1
    assert not choice.on_boundary


def test_interpolation_is_no_boundary():
    K, _, y = problem(dim=40)
    assert not choose_ridge(decompose(K + np.eye(len(K))), K @ y, [1e-9, 1e-3, 1.0]).on_boundary


def test_choice_on_the_boundary_warns():
    K, _, y = problem()
    with pytest.warns(RidgeWarning, match="boundary"):
        assert choose_ridge(decompose(K), y, [1e-9, 1e-8]).on_boundary


@pytest.mark.parametrize("n", [1, 2, 30, 300])
@pytest.mark.parametrize("ridge", [1e-8, 1e-2, 1.0])
def test_condition_number(n, ridge):
    K, _, y = problem(n)
    values = np.linalg.eigvalsh(K + ridge * np.trace(K) / n * np.eye(n))
    factor = cholesky(K, ridge)
    assert factor.smallest_eigenvalue == pytest.approx(values[0], rel=1e-2)
    assert factor.condition_number == pytest.approx(values[-1] / values[0], rel=1e-2)
    exact = decompose(K).at(ridge)
    assert exact.condition_number == pytest.approx(values[-1] / values[0], rel=1e-6)
    bound = KernelRidge(ridge, method="cg", tolerance=1e-3).fit(K, y)
    assert bound.smallest_eigenvalue <= values[0] * (1 + 1e-2)
    assert bound.condition_number >= values[-1] / values[0] * (1 - 1e-2)


def test_condition_number_of_conjugate_gradients():
    K, _, y = problem(100, dim=40)
    fitted = KernelRidge(1e-6, method="cg", rank=40).fit(K, y)
    values = np.linalg.eigvalsh(K + fitted.solver.shift * np.eye(100))
    assert fitted.smallest_eigenvalue == pytest.approx(values[0], rel=1e-2)
    assert fitted.condition_number == pytest.approx(values[-1] / values[0], rel=5e-2)


@METHODS
def test_solves_many_targets_from_one_factor(method):
    K, _, y = problem(outputs=(2,))
    fitted = KernelRidge(1e-2, method=method, **PRECISE).fit(K, y[:, 0])
    close(fitted.solver.solve(y[:, 1]), oracle(K, y[:, 1], 1e-2))


def test_ill_conditioned_kernel_of_low_rank():
    x = np.random.default_rng(0).standard_normal((200, 3))
    K, y = x @ x.T, x @ np.array([1.0, -2.0, 0.5])
    for fitted in (KernelRidge(1e-9).fit(K, y), KernelRidge(1e-9, method="cg").fit(K, y)):
        close(fitted.predict(K), y, 1e-6)
        assert fitted.condition_number == pytest.approx(1e11, rel=0.9)


def test_preconditioner_saves_steps():
    K, _, y = problem(200, (2,))
    shift = 1e-3
    solver = IterativeSolver(lambda v: K @ v, shift, nystrom(lambda v: K @ v, 200, 100, K.dtype))
    close(solver.solve(y), np.linalg.solve(K + shift * np.eye(200), y), 1e-3)
    plain = conjugate_gradients(
        lambda v: K @ v + shift * v, y, lambda v: v, tolerance=1e-6, max_iterations=5000
    )
    assert solver.solution.residual_norms.max() <= 1e-6
    assert solver.solution.iterations < plain.iterations / 3


def test_zero_target_takes_no_steps():
    K, _, y = problem(outputs=(2,))
    y[:, 0] = 0
    weights = KernelRidge(1e-2, method="cg").fit(K, y).weights
    assert (weights[:, 0] == 0).all()
    assert (weights[:, 1] != 0).all()


def operator(K):
    found = LinearOperator(K.shape, matvec=K.dot, matmat=K.dot, dtype=K.dtype)
    found.diagonal = K.diagonal
    return found


@pytest.mark.filterwarnings("ignore::ntkscope.ntk.regression.RidgeWarning")
@pytest.mark.parametrize(("ridge", "method"), [(1e-2, "direct"), (1e-2, "cg"), ("loo", "auto")])
@pytest.mark.parametrize("kind", [torch.from_numpy, operator, "zarr", "memmap"])
def test_takes_any_array(kind, ridge, method, tmp_path, monkeypatch):
    monkeypatch.setattr("ntkscope.ntk.regression.kernel_arrays._BLOCK_BYTES", 8 * 30 * 7)
    K, cross, y = problem()
    if kind == "zarr":
        zarr = pytest.importorskip("zarr")
        given_kernel = zarr.create_array(str(tmp_path / "k.zarr"), data=K, chunks=(11, 11))
    elif kind == "memmap":
        given_kernel = np.memmap(tmp_path / "k", np.float64, "w+", shape=K.shape)
        given_kernel[:] = K
    else:
        given_kernel = kind(K)
    before = K.copy()
    fitted = KernelRidge(ridge, method=method, **PRECISE).fit(given_kernel, torch.from_numpy(y))
    close(fitted.weights, oracle(K, y, fitted.ridge), 1e-9)
    close(fitted.predict(torch.from_numpy(cross)), cross @ fitted.weights)
    np.testing.assert_array_equal(K, before)


def test_float32_kernel_is_promoted_and_its_ridge_floored():
    K, cross, y = (a.astype(np.float32) for a in problem())
    with pytest.warns(RidgeWarning, match="float32"):
        fitted = KernelRidge(0.0).fit(K, y)
    assert fitted.ridge == 1e-6
    assert fitted.predict(cross).dtype == np.float64
    close(fitted.weights, oracle(K.astype(np.float64), y.astype(np.float64), 1e-6), 1e-8)
    assert default_grid(K.dtype)[0] == 1e-6


def test_memory_chooses_the_method():
    K, _, y = problem()
    assert isinstance(KernelRidge(1e-2, memory=100).fit(K, y).solver, IterativeSolver)
    assert not isinstance(KernelRidge(1e-2, memory="1MB").fit(K, y).solver, IterativeSolver)
    with pytest.raises(RegressionError, match="eigendecomposition"):
        KernelRidge("loo", memory=100).fit(K, y)


def test_full_ntk_of_independent_outputs_is_the_trace_ntk():
    K, cross, y = problem(outputs=(2,))
    full = np.einsum("nm,kl->nkml", K, np.eye(2))
    full_cross = np.einsum("nm,kl->nkml", cross, np.eye(2)).reshape(14, 60)
    fitted = KernelRidge(1e-3).fit(full.reshape(60, 60), y.reshape(60))
    expected = KernelRidge(1e-3).fit(K, y).predict(cross)
    close(fitted.predict(full_cross).reshape(7, 2), expected)


def spoilt(K, change):
    K = K.copy()
    if change == "nan":
        K[3, 4] = np.nan
    elif change == "asymmetric":
        K[3, 4] += 0.1
    elif change == "negative":
        K -= 0.5 * np.eye(len(K))
    elif change == "zero":
        K[:] = 0
    return K


@pytest.mark.parametrize("ridge", [1e-3, "loo"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("nan", r"(?s)NaN.*kernel\[3, 4\].*diverged"),
        ("asymmetric", "not symmetric: max|K − Kᵀ| = 1.0e-01"),
        ("negative", r"(?s)smallest eigenvalue is -.*ridge"),
        ("zero", "mean diagonal is 0"),
    ],
)
def test_direct_methods_refuse_what_is_no_kernel(change, message, ridge):
    K, _, y = problem()
    with pytest.raises(RegressionError, match=message):
        KernelRidge(ridge).fit(spoilt(K, change), y)


@pytest.mark.parametrize("change", ["nan", "asymmetric", "negative", "zero"])
def test_conjugate_gradients_refuse_what_is_no_kernel(change):
    K, _, y = problem()
    with pytest.raises(RegressionError):
        KernelRidge(1e-3, method="cg").fit(spoilt(K, change), y)


def test_the_ridge_that_an_error_names_suffices():
    K, _, y = problem(dim=2)
    K -= 1e-3 * np.eye(len(K))
    with pytest.raises(RegressionError) as error:
        KernelRidge(1e-6).fit(K, y)
    named = float(error.value.remedy.split("at least ")[1].split(";")[0])
    assert named < 0.01
    KernelRidge(named).fit(K, y)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda K, y: (K[:5], y), "shape"),
        (lambda K, y: (K, y[:5]), "targets of shape"),
        (lambda K, y: (K, y * np.nan), "NaN"),
        (lambda K, y: (K.astype(np.float16), y), "too coarse"),
        (lambda K, y: (np.zeros((3, 2, 3, 2)), y), "reshape a full NTK"),
    ],
)
def test_refuses_arguments_that_do_not_fit(change, message):
    with pytest.raises(RegressionError, match=message):
        KernelRidge(1e-3).fit(*change(*problem()[::2]))


@pytest.mark.parametrize("ridge", [-1.0, np.inf, np.nan])
def test_refuses_ridges(ridge):
    K, _, y = problem()
    with pytest.raises(RegressionError, match="ridge = "):
        KernelRidge(ridge).fit(K, y)


@pytest.mark.parametrize("grid", [np.array([0.1 + 1j, 1.0]), torch.tensor([1j]), ["0.1"]])
def test_refuses_grids_that_are_not_real(grid):
    K, _, y = problem()
    with pytest.raises(RegressionError, match="grid of dtype"):
        KernelRidge(grid=grid).fit(K, y)


@pytest.mark.parametrize("tolerance", [0.0, -1e-6, 1.0, np.nan, np.complex128(1e-6 + 1j), "1e-6"])
def test_refuses_tolerances(tolerance):
    K, _, y = problem()
    with pytest.raises(RegressionError, match="tolerance = "):
        KernelRidge(1e-3, method="cg", tolerance=tolerance).fit(K, y)


def test_other_errors_say_what_to_do():
    K, cross, y = problem(dim=2)
    with pytest.raises(RegressionError, match="max_iterations"):
        KernelRidge(1e-9, method="cg", rank=1, max_iterations=2).fit(K, y)
    with pytest.raises(RegressionError, match="ridge > 0"):
        KernelRidge(0.0, method="cg").fit(K, y)
    with pytest.raises(RegressionError, match="cross kernel"):
        KernelRidge(1e-3).fit(K, y).predict(cross.T)
    with pytest.raises(RegressionError, match="no leave-one-out"):
        _ = KernelRidge(1e-3, method="cg").fit(K, y).loo_residuals
    with pytest.raises(RegressionError, match="loo_samples"):
        KernelRidge(loo_samples=1).fit(K, y)
    with pytest.raises(RegressionError, match="cannot be had from conjugate gradients"):
        KernelRidge(loo_samples=20, search=True, method="cg").fit(K, y)
    with pytest.raises(RegressionError, match="Cholesky factors and inverses"):
        KernelRidge(loo_samples=10, search=True, memory=9000).fit(K, y)
    for offset in (0.0, np.zeros((30, 1)), np.full(30, np.nan)):
        with pytest.raises(RegressionError, match="offset"):
            KernelRidge(1e-3).fit(K, y, offset)
    with pytest.raises(RegressionError, match="fitted with an offset"):
        KernelRidge(1e-3).fit(K, y, y).predict(cross)
    with pytest.raises(RegressionError, match="fitted without an offset"):
        KernelRidge(1e-3).fit(K, y).predict(cross, cross[:, 0])
    with pytest.raises(RegressionError, match="grid of ridges"):
        KernelRidge(grid=[]).fit(K, y)
    with pytest.raises(RegressionError, match="diagonal"):
        KernelRidge(1e-3).fit(LinearOperator(K.shape, matvec=K.dot, dtype=K.dtype), y)


def test_rows_are_read_in_blocks(monkeypatch):
    monkeypatch.setattr("ntkscope.ntk.regression.kernel_arrays._BLOCK_BYTES", 1)
    K, _, y = problem(outputs=(2,))
    close(multiply(K.astype(np.float32), y), K.astype(np.float32).astype(np.float64) @ y)


@pytest.mark.parametrize("seed", range(5))
def test_rounding_of_float64_makes_no_kernel_indefinite(seed):
    features = np.random.default_rng(seed).standard_normal((200, 3))
    assert decompose(features @ features.T).values[0] == 0


def test_a_sample_of_which_the_others_say_nothing_is_misclassified():
    """What is left of its target by rounding has some sign, which counted as a prediction."""
    targets = np.random.default_rng(0).choice([-0.3, 0.7], 50)
    system = decompose(np.eye(50) * 0.7)
    found = choose_ridge(system, targets, np.logspace(-8, 1, 30), "zero_one")
    np.testing.assert_array_equal(found.zero_one, 1)
