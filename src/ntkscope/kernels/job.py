"""What a kernel job works on: a run's snapshots and the probe, and the store that it fills."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ntkscope.config.specs import KernelSpec, RunSpec
from ntkscope.data.images import load_samples
from ntkscope.data.inputs import to_inputs
from ntkscope.data.probe import Probe, choose_probe
from ntkscope.models import Definition, layer_names, load_tensors
from ntkscope.models.zoo import define
from ntkscope.ntk.kinds import normalisation
from ntkscope.ntk.tiled.store_layout import Axis, kernel_arrays
from ntkscope.stores import Array, ZarrStore


@dataclass(frozen=True)
class KernelJob:
    """One kernel of one run.

    Attributes:
        run, kernel: the specs.
        definition: of the networks.
        outputs: K.
        snapshots: the store of parameters.
        probe: which images.
        inputs: them, [N, channel, y, x], of the kernel's precision and on its device.
    """

    run: RunSpec
    kernel: KernelSpec
    definition: Definition
    outputs: int
    snapshots: ZarrStore
    probe: Probe
    inputs: Tensor

    @property
    def seeds(self) -> int:
        """Networks of each snapshot."""
        return len(self.run.seeds)

    @property
    def count(self) -> int:
        """Snapshots."""
        return int(self.snapshots.read("step").size)

    @cached_property
    def names(self) -> list[str]:
        """The layers that have parameters, in order."""
        return layer_names(self.definition.build())

    @property
    def kernel_bytes(self) -> int:
        """Of the layers' kernels of one snapshot, all seeds."""
        outputs = self.outputs if self.kernel.kind == "full" else 1
        pairs = (len(self.inputs) * outputs) ** 2
        return self.seeds * len(self.names) * pairs * self.inputs.element_size()

    def tensors(self, index: Any) -> dict[str, Tensor]:
        """Name → parameters and constants at (seed, snapshot), of the kernel's precision."""
        dtype, device = getattr(torch, self.kernel.precision), self.inputs.device
        return {
            name: torch.from_numpy(self.snapshots.read(f"{group}/{name}", index)).to(device, dtype)
            for group in ("parameters", "constants")
            for name in self.snapshots.names(group)
        }

    def network(self, index: tuple[int, int]) -> nn.Module:
        """The network at (seed, snapshot), of the kernel's precision, in eval mode."""
        dtype, device = getattr(torch, self.kernel.precision), self.inputs.device
        network = self.definition.build().to(device, dtype).eval()
        self.load(network, index)
        return network

    def load(self, network: nn.Module, index: tuple[int, int]) -> None:
        """Make a network that at another (seed, snapshot)."""
        load_tensors(network, self.tensors(index), self.definition.function)


class Schedule(Protocol):
    """The work items of a job, each computed by products that are always the same.

    Attributes:
        chunk: samples on the sides of a chunk of the store.
        seeds_together: seeds in a chunk.
        mask: of the store; no two work items have a chunk of it, or of the arrays, in common.
        attrs: for the store.
    """

    chunk: int
    seeds_together: int
    mask: Array
    attrs: dict[str, Any]

    def work_items(self) -> list[Any]:
        """All work items, in order."""

    def is_done(self, item: Any, mask: np.ndarray) -> bool:
        """Whether a work item is complete."""

    def compute(self, items: list[Any], store: ZarrStore) -> Iterator[None]:
        """Write the kernels of work items and mark them as complete, one a turn."""


def open_job(
    run: RunSpec,
    kernel: KernelSpec,
    images_path: Path,
    snapshots_path: Path,
    device: torch.device,
) -> KernelJob:
    """Read the images and choose the probe."""
    images = load_samples(images_path)
    probe = choose_probe(images.train_labels, kernel)
    inputs = to_inputs(images, images.train[probe.index], device, getattr(torch, kernel.precision))
    outputs = len(images.classes)
    tokens = images.train.dtype == np.int64
    definition = define(run.model, images.train.shape[1:], outputs, tokens=tokens)
    snapshots = ZarrStore.open(snapshots_path, "snapshots")
    return KernelJob(run, kernel, definition, outputs, snapshots, probe, inputs)


def begin_store(
    job: KernelJob, schedule: Schedule, path: Path, record: dict[str, Any]
) -> ZarrStore:
    """The store of kind `kernels` that was begun at `path`, or a new one.

    Args:
        job, schedule: what it is of.
        path: its place.
        record: provenance.
    """
    kernel, samples = job.kernel, (len(job.inputs), len(job.inputs))
    lead: tuple[Axis, ...] = (
        ("seed", job.seeds, schedule.seeds_together),
        ("snapshot", job.count, 1),
    )
    layers = len(job.names) if kernel.by_layer else 0
    coords: dict[str, tuple[tuple[str, ...], Any]] = {
        "seed": (("seed",), job.snapshots.read("seed")),
        "step": (("snapshot",), job.snapshots.read("step")),
        "task": (("snapshot",), job.snapshots.read("task")),
        "image": (("sample",), job.probe.index),
        "label": (("sample",), job.probe.label),
    }
    if kernel.by_layer:
        coords["layer"] = (("layer",), job.names)
    attrs = {
        "run": job.run.id,
        "kernel": kernel.kind,
        "normalisation": normalisation(kernel.kind),
        "probe_digest": job.probe.digest,
        "precision": kernel.precision,
        "provenance": record,
        **schedule.attrs,
    }
    chunk = (schedule.chunk, schedule.chunk)
    arrays = kernel_arrays(kernel.kind, lead, samples, chunk, job.outputs, layers, kernel.precision)
    path.parent.mkdir(parents=True, exist_ok=True)
    return ZarrStore.allocate(
        path, "kernels", arrays, coords=coords, mask=schedule.mask, attrs=attrs, going_on=True
    )
