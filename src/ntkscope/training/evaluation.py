"""The training log: loss and accuracy of every seed on test images of every task so far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ntkscope.config.specs import RunSpec
from ntkscope.data.images import LoadedSamples
from ntkscope.data.inputs import to_inputs
from ntkscope.data.sampling import task_labels
from ntkscope.seeds import RandomStream, seed_sequence
from ntkscope.training.losses import per_network_loss
from ntkscope.training.stacking import Stack


def evaluation_sets(
    run: RunSpec, images: LoadedSamples, device: torch.device
) -> list[tuple[Tensor, Tensor]]:
    """Test inputs [n, channel, y, x] and labels [n] of each task, n ≤ evaluation_samples.

    The same images for every seed and run of a dataset. Class frequencies of a task are not
    followed: its classes are shown as the test set has them.
    """
    dtype, sets = getattr(torch, run.precision), []
    for task in run.tasks:
        labels = task_labels(images.test_labels, task)
        there = np.flatnonzero(labels >= 0)
        generator = np.random.default_rng(seed_sequence(0, RandomStream.EVALUATION))
        chosen = np.sort(generator.permutation(there)[: run.evaluation_samples])
        inputs = to_inputs(images, images.test[chosen], device, dtype)
        sets.append((inputs, torch.from_numpy(labels[chosen]).to(device)))
    return sets


@torch.no_grad()
def evaluate(
    stacks: Sequence[Stack], sets: list[tuple[Tensor, Tensor]], loss: str
) -> tuple[np.ndarray, np.ndarray]:
    """Mean loss and accuracy, each float64 [S, tasks]."""
    losses, accuracies = [], []
    for stack in stacks:
        stack.eval()
        for inputs, labels in sets:
            models = stack.models
            logits = stack(inputs.expand(models, *inputs.shape))
            target = labels.expand(models, -1)
            losses.append(per_network_loss(loss, logits, target).double().cpu())
            accuracies.append((logits.argmax(2) == target).double().mean(1).cpu())
    return _table(losses, len(sets)), _table(accuracies, len(sets))


def _table(values: list[Tensor], tasks: int) -> np.ndarray:
    columns = [torch.cat(values[task::tasks]) for task in range(tasks)]
    return torch.stack(columns, dim=1).numpy()
