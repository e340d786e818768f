"""Watching continual learning in Avalanche: a plugin whose experiences are the tasks."""

from __future__ import annotations

from typing import Any

from ntkscope.runtime.imports import need_extra
from ntkscope.watch.watch import Watch

need_extra("avalanche", __name__, "avalanche")

from avalanche.core import SupervisedPlugin


class NTKWatch(SupervisedPlugin):  # type: ignore[type-arg,unused-ignore]
    """`Naive(…, plugins=[NTKWatch(probe, labels)])`: each experience is a task.

    A boundary is where an experience after the first begins. The model's outputs must be as many in
    all experiences, or `by_layer=False`.

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

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """The network as it begins; then, that the task before has ended."""
        if self.watch is None:
            self.watch = Watch(strategy.model, *self._given, **self._options)
            self.watch.step(0)
        else:
            self.watch.boundary()

    def after_training_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """A step."""
        assert self.watch is not None
        self.watch.step(loss=strategy.loss)

    def after_training(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing stays unwritten."""
        if self.watch is not None:
            self.watch.flush()
