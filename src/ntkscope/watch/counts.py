"""Trainings one behind the other, each counted from 0 by its trainer, as one run."""

from __future__ import annotations

from torch import nn

from ntkscope.watch.kernel import unwrapped
from ntkscope.watch.probe import WatchError
from ntkscope.watch.watch import Watch

KEY = "ntkscope_steps_before"
"""What steps before those of its trainer are called in a checkpoint."""


def steps_before(watch: Watch, model: nn.Module, before: int, count: int) -> int:
    """Steps before those that a trainer counts, as it begins with a callback that was in use.

    Args:
        watch: of the callback.
        model: that is trained now.
        before: of the trainer before.
        count: the trainer's; 0: it begins, and all that was watched is before it.

    Raises:
        WatchError: another network, or steps that were watched already.
    """
    if unwrapped(model) is not watch.model:
        raise WatchError(
            "this NTKWatch has watched another network",
            where="callbacks",
            remedy="give each run an NTKWatch of its own, and a store of its own",
        )
    if not count:
        return watch.last_step
    if before + count < watch.last_step:
        raise WatchError(
            f"the training goes on from step {before + count}, but this NTKWatch is at step "
            f"{watch.last_step}",
            where="callbacks",
            remedy="to go on from an earlier checkpoint give a new NTKWatch, with the same store",
        )
    return before
