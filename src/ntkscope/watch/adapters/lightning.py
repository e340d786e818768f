"""Watching a Lightning training: a `Callback`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ntkscope.runtime.imports import need_extra
from ntkscope.watch.counts import KEY, steps_before
from ntkscope.watch.watch import Watch

need_extra("lightning", __name__, "lightning")

from lightning.pytorch import Callback, LightningModule, Trainer


class NTKWatch(Callback):
    """`Trainer(callbacks=[NTKWatch(probe, labels)])`: values go to the trainer's logger.

    Kernels are of the module itself: its `forward` maps the probe to the outputs [N, K]. With
    gradient accumulation a step is one of the optimiser. Call `boundary()` where a task ends, from
    a hook of your module or between two calls of `fit`: with a new `Trainer`, the same callback
    goes on counting. A training that was killed goes on with the same `store`, from a checkpoint
    (`ckpt_path=`); without one, a store that is there is refused.

    Args:
        probe, labels: as of `Watch`.
        options: of `Watch`; `log_fn` instead of the trainer's loggers.

    Attributes:
        watch: the `Watch`, once the training has begun.
    """

    def __init__(self, probe: Any, labels: Any = None, **options: Any) -> None:
        self.watch: Watch | None = None
        self._given = (probe, labels)
        self._options = {"log_fn": self._log} | options
        self._before = 0
        self._loggers: list[Any] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The network as it begins."""
        self._loggers = list(trainer.loggers)
        if self.watch is None:
            self.watch = Watch(pl_module, *self._given, **self._options)
            self.watch.step(self._before + trainer.global_step)
        else:
            self._before = steps_before(self.watch, pl_module, self._before, trainer.global_step)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: torch.Tensor | Mapping[str, Any] | None,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """A step, if the optimiser made one; its loss is as it was before it is accumulated."""
        assert self.watch is not None
        step = self._before + trainer.global_step
        if step <= self.watch.last_step:
            return
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        whole = None if loss is None else loss * trainer.accumulate_grad_batches
        self.watch.step(step, loss=whole)

    def boundary(self) -> None:
        """The task ends at the last step."""
        if self.watch is not None:
            self.watch.boundary()

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """What the store has is not behind the checkpoint."""
        checkpoint[KEY] = self._before
        if self.watch is not None:
            self.watch.flush(strict=False)

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """How many steps other trainers made before."""
        self._before = checkpoint.get(KEY, 0)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Nothing stays unwritten."""
        if self.watch is not None:
            self.watch.close(strict=False)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Nothing stays unwritten, also after Ctrl-C; but the run has not ended."""
        if self.watch is not None:
            self.watch.__exit__(type(exception), exception)

    def _log(self, values: dict[str, float], step: int) -> None:
        for logger in self._loggers:
            logger.log_metrics(values, step=step)
