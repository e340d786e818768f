"""Which parameters of a network are kept, and when it has learnt enough."""

from __future__ import annotations

from ntkscope.config.curve_specs import LearningSpec

Score = tuple[float, float]
"""Validation error, and validation loss, which decides between equal errors."""


def is_kept(learning: LearningSpec, score: Score, best: Score) -> bool:
    """Whether the present parameters replace those kept: the better ones, or the latest."""
    return learning.stop == "convergence" or score < best


def is_over(learning: LearningSpec, step: int, best_step: int, train_loss: float) -> bool:
    """Whether a network ends before its budget.

    Args:
        learning: the rule.
        step: updates made.
        best_step: the step whose parameters are kept.
        train_loss: present loss on all training samples (of stop: convergence).
    """
    if learning.stop == "convergence":
        return train_loss < learning.converged_loss
    return step > learning.patience * max(best_step, learning.patience_from)
