"""Watching continual learning in Avalanche: a plugin whose experiences are the tasks."""

from __future__ import annotations

from typing import Any

from ntkscope.runtime.imports import need_extra
from ntkscope.watch.counts import steps_before
from ntkscope.watch.watch import Watch

need_extra("avalanche", __name__, "avalanche")

from avalanche.core import SupervisedPlugin


class NTKWatch(SupervisedPlugin):  # type: ignore[type-arg,unused-ignore]
    """`Naive(…, plugins=[NTKWatch(probe, labels)])`: each experience is a task.

    A boundary is where an experience after the first begins. The model's outputs must be as many in
    all experiences, or `by_layer=False`. A step's number is that of the strategy's clock; with a
    new strategy, the same plugin goes on counting. A training that was killed goes on with the same
    `store`, from Avalanche's checkpoint; without one, a store that is there is refused. An
    exception, of which no plugin is told, leaves the store unsealed: what is not written then is as
    the process ends, or by `plugin.watch.leave()`.

    Args:
        probe, labels: as of `Watch`.
        options: of `Watch`.

    Attributes:
        watch: the `Watch`, once the training has begun.
    """

    def __init__(self, probe: Any, labels: Any = None, **options: Any) -> None:
        super().__init__()
        self.watch: Watch | None = None
        self._given = (probe, labels)
        self._options = options
        self._before = 0

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """The network as it begins; then, that the task before has ended."""
        count = strategy.clock.train_iterations
        if self.watch is None:
            self.watch = Watch(strategy.model, *self._given, **self._options)
            is_behind = self.watch.resume() >= 0
            self.watch.step(self._before + count)
            if not is_behind:
                return
        else:
            self._before = steps_before(self.watch, strategy.model, self._before, count)
        self.watch.boundary()

    def after_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """A step."""
        assert self.watch is not None
        step = self._before + strategy.clock.train_iterations + 1  # the clock is the last plugin
        self.watch.step(step, loss=strategy.loss)

    def after_training(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing stays unwritten."""
        if self.watch is not None:
            self.watch.close(strict=False)

    def __getstate__(self) -> dict[str, Any]:
        """For a checkpoint: without the watch, if what it saw is in a store to go on from."""
        return self.__dict__ | ({"watch": None} if self._options.get("store") else {})
