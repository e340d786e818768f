"""What a kernel job works on: a run's snapshots and the probe, and the store that it fills."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ntkscope.config.specs import KernelSpec, RunSpec
from ntkscope.data.images import load_images
from ntkscope.data.inputs import to_inputs
from ntkscope.data.probe import Probe, choose_probe
from ntkscope.models import Architecture, parameter_shapes
from ntkscope.models.zoo import architecture
from ntkscope.ntk.kinds import normalisation
from ntkscope.ntk.tiled.store_layout import Axis, kernel_arrays
from ntkscope.stores import Array, ZarrStore


@dataclass(frozen=True)
class KernelJob:
    """One kernel of one run.

    Attributes:
        run, kernel: the specs.
        layers: of the networks.
        outputs: K.
        snapshots: the store of parameters.
        probe: which images.
        inputs: them, [N, channel, y, x], of the kernel's precision and on its device.
    """

    run: RunSpec
    kernel: KernelSpec
    layers: Architecture
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

    @property
    def names(self) -> list[str]:
        """The layers that have parameters, in order."""
        return list(dict.fromkeys(n.rpartition(".")[0] for n in parameter_shapes(self.layers)))

    def parameters(self, index: Any) -> dict[str, Tensor]:
        """Name → parameters at an index (seed, snapshot), as the inputs are."""
        return {
            name: torch.from_numpy(self.snapshots.read(f"parameters/{name}", index)).to(self.inputs)
            for name in parameter_shapes(self.layers)
        }


class Way(Protocol):
    """A way to take all kernels of a job, unit by unit, each by products that are always the same.

    Attributes:
        chunk: samples on the sides of a chunk of the store.
        seeds_together: seeds in a chunk.
        mask: of the store; no two units have a chunk of it, or of the arrays, in common.
        attrs: for the store.
    """

    chunk: int
    seeds_together: int
    mask: Array
    attrs: dict[str, Any]

    def units(self) -> list[Any]:
        """All units of work, in order."""

    def is_done(self, unit: Any, mask: np.ndarray) -> bool:
        """Whether a unit is complete."""

    def take(self, units: list[Any], store: ZarrStore) -> Iterator[None]:
        """Write units and mark them as complete, one a turn."""


def open_job(
    run: RunSpec,
    kernel: KernelSpec,
    images_path: Path,
    snapshots_path: Path,
    device: torch.device,
) -> KernelJob:
    """Read the images and choose the probe."""
    images = load_images(images_path)
    probe = choose_probe(images.train_labels, kernel)
    inputs = to_inputs(images, images.train[probe.index], device, getattr(torch, kernel.precision))
    outputs = len(images.classes)
    layers = architecture(run.model, images.train.shape[1:], outputs)
    snapshots = ZarrStore.open(snapshots_path, "snapshots")
    return KernelJob(run, kernel, layers, outputs, snapshots, probe, inputs)


def begin_store(job: KernelJob, way: Way, path: Path, record: dict[str, Any]) -> ZarrStore:
    """The store of kind `kernels` that was begun at `path`, or a new one.

    Args:
        job, way: what it is of.
        path: its place.
        record: provenance.
    """
    if path.exists():
        return ZarrStore.resume(path, "kernels")
    kernel, samples = job.kernel, (len(job.inputs), len(job.inputs))
    lead: tuple[Axis, ...] = (
        ("seed", job.seeds, way.seeds_together),
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
        **way.attrs,
    }
    chunk = (way.chunk, way.chunk)
    arrays = kernel_arrays(kernel.kind, lead, samples, chunk, job.outputs, layers, kernel.precision)
    path.parent.mkdir(parents=True, exist_ok=True)
    return ZarrStore.allocate(path, "kernels", arrays, coords=coords, mask=way.mask, attrs=attrs)
