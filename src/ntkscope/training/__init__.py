"""Training: one task of a run, all seeds, with snapshots, resumable to the bit."""

from ntkscope.runtime.imports import need_extra

need_extra("workflow", __name__, "pydantic", "safetensors")

from ntkscope.training.schedule import learning_rate_factor, snapshot_steps
from ntkscope.training.task import train_task

__all__ = ["learning_rate_factor", "snapshot_steps", "train_task"]
