"""Training, resumable to the bit: one task of a run, all seeds; or a learning curve's networks.

It may import the stage `data` and the ground.
"""

from ntkscope.runtime.imports import need_extra

need_extra("workflow", __name__, "pydantic", "safetensors")

from ntkscope.training.learning_curve import train_networks
from ntkscope.training.schedule import snapshot_steps
from ntkscope.training.task import train_task

__all__ = ["snapshot_steps", "train_networks", "train_task"]
