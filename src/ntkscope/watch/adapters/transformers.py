"""Watching a training of Hugging Face's `Trainer`: a `TrainerCallback`."""

from __future__ import annotations

from typing import Any

from ntkscope.runtime.imports import need_extra
from ntkscope.watch.counts import KEY, steps_before
from ntkscope.watch.watch import Watch

need_extra("transformers", __name__, "transformers")

from transformers import TrainerCallback


class NTKWatch(TrainerCallback):
    """`Trainer(…, callbacks=[NTKWatch(probe, labels)])`: values go into `state.log_history`.

    Callbacks after this one log them too; the trainer's own reporters come before it, so give
    `log_fn`, such as `lambda values, step: wandb.log(values)`, to have them there. With a new
    `Trainer`, the same callback goes on counting. A training that was killed goes on with the same
    `store`, from a checkpoint (`resume_from_checkpoint=`); without one, a store that is there is
    refused. An exception, of which a `Trainer` tells no callback, leaves the store unsealed: what
    is not written then is as the process ends, or by `callback.watch.leave()`.

    Args:
        probe: a mapping such as the tokeniser gives, of tensors: `{"input_ids": …}`.
        labels: as of `Watch`.
        output: where the outputs [N, K] are in what the model returns.
        options: of `Watch`, such as `parameters="classifier"`, which is much cheaper than all.

    Attributes:
        watch: the `Watch`, once the training has begun.
    """

    def __init__(
        self, probe: Any, labels: Any = None, output: Any = "logits", **options: Any
    ) -> None:
        self.watch: Watch | None = None
        self._given = (probe, labels)
        self._tell = options.pop("log_fn", None)
        self._options = {"output": output, "log_fn": self._keep} | options
        self._values: dict[str, float] = {}
        self._before = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The network as it begins."""
        self._before = state.stateful_callbacks.get(KEY, self._before)
        if self.watch is None:
            self.watch = Watch(kwargs["model"], *self._given, **self._options)
            self.watch.step(self._before + state.global_step)
        else:
            model, count = kwargs["model"], state.global_step
            self._before = steps_before(self.watch, model, self._before, count)
        # Written with each checkpoint. Not as an `ExportableState`, which a Trainer would make anew
        # of arguments that are JSON, without the probe, and miss in a checkpoint that was made
        # without it: a KeyError that ends the training.
        state.stateful_callbacks[KEY] = self._before

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A step of the optimiser."""
        assert self.watch is not None
        self.watch.step(self._before + state.global_step)

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any
    ) -> None:
        """The values of the last kernel, among what is logged."""
        if logs is not None:
            logs.update(self._values)
            state.log_history[-1].update(self._values)

    def boundary(self) -> None:
        """The task ends at the last step."""
        if self.watch is not None:
            self.watch.boundary()

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """What the store has is not behind the checkpoint."""
        if self.watch is not None:
            self.watch.flush(strict=False)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Nothing stays unwritten."""
        if self.watch is not None:
            self.watch.close(strict=False)

    def _keep(self, values: dict[str, float], step: int) -> None:
        self._values = {**values, "ntk/step": float(step)}
        if self._tell is not None:
            self._tell(values, step)
