"""What is known of every network of a learning curve while they train: plain arrays."""

from __future__ import annotations

import numpy as np
import torch

from ntkscope.config.curve_specs import NetworksSpec
from ntkscope.training.learning_curve.early_stopping import Score
from ntkscope.training.learning_curve.evaluation import Look, Verdict
from ntkscope.training.learning_curve.members import Member
from ntkscope.training.state import Named

_SAMPLED = ("error", "squared_error", "train_error", "train_loss", "validation_error")


class CurveLog:
    """Arrays (seed, size, …), as they are in the store; NaN and −1 where nothing is known yet.

    Args:
        spec: of the networks.
        arrays: to go on with; None: the beginning.
    """

    def __init__(self, spec: NetworksSpec, arrays: dict[str, np.ndarray] | None = None) -> None:
        self.arrays = arrays or _empty(spec)

    def best(self, member: Member) -> tuple[int, Score]:
        """The step whose parameters are kept (−1: none), and its score."""
        error, loss = (self.arrays[k][member.place] for k in ("validation_error", "_best_loss"))
        if np.isnan(error):
            return -1, (np.inf, np.inf)
        return int(self.arrays["best_step"][member.place]), (float(error), float(loss))

    def add(self, member: Member, step: int, look: Look) -> None:
        """One look at a network."""
        at = (*member.place, member.looks.index(step))
        self.arrays["log_step"][at] = step
        self.arrays["log_validation_error"][at] = look.validation_error
        self.arrays["log_validation_loss"][at] = look.validation_loss
        self.arrays["log_train_error"][at] = look.train_error
        self.arrays["last_step"][member.place] = step

    def keep(self, member: Member, step: int, score: Score) -> None:
        """The parameters of this step are those kept."""
        self.arrays["best_step"][member.place] = step
        self.arrays["validation_error"][member.place] = score[0]
        self.arrays["_best_loss"][member.place] = score[1]

    def end(self, member: Member, verdict: Verdict | None) -> None:
        """A network has ended; without a verdict: it has diverged."""
        self.arrays["_over"][member.place] = True
        diverged = verdict is None or bool(np.isnan(verdict.error))
        self.arrays["diverged"][member.place] = diverged
        for name in _SAMPLED[:-1]:
            value = np.nan if verdict is None else getattr(verdict, name)
            self.arrays[name][member.place] = value
        if verdict is None:
            self.arrays["validation_error"][member.place] = np.nan
            self.arrays["best_step"][member.place] = -1

    def is_over(self, member: Member) -> bool:
        """Whether a network has ended."""
        return bool(self.arrays["_over"][member.place])

    def tensors(self) -> Named:
        """The arrays, for a checkpoint."""
        return {name: torch.from_numpy(values) for name, values in self.arrays.items()}


def _empty(spec: NetworksSpec) -> dict[str, np.ndarray]:
    curve = (len(spec.task.seeds), len(spec.sizes))
    looks = (*curve, spec.learning.evaluations)
    during = (curve[0], len(spec.during))
    arrays = {name: np.full(curve, np.nan) for name in (*_SAMPLED, "_best_loss")}
    arrays |= {name: np.full(curve, -1) for name in ("best_step", "last_step")}
    arrays |= {name: np.zeros(curve, dtype=bool) for name in ("diverged", "_over")}
    arrays["log_step"] = np.full(looks, -1)
    for name in ("validation_error", "validation_loss", "train_error"):
        arrays[f"log_{name}"] = np.full(looks, np.nan)
    if spec.during:
        arrays["during_error"] = np.full(during, np.nan)
        arrays["during_squared_error"] = np.full(during, np.nan)
        arrays["during_diverged"] = np.zeros(during, dtype=bool)
    return arrays
