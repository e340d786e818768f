"""What a regression job works on: a task, and the networks whose kernels are regressed with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ntkscope.config.curve_specs import RegressionSpec
from ntkscope.data.tasks import LoadedTask, load_task
from ntkscope.errors import StoreError, remake, replaced
from ntkscope.models import Definition, layer_names, load_tensors
from ntkscope.models.zoo import define
from ntkscope.regression.kernel_pair import working_bytes
from ntkscope.regression.ridge import Ridges
from ntkscope.seeds import RandomStream, torch_seed
from ntkscope.stores import ZarrStore

SPECTRUM_SAMPLES = 1000
"""Most samples of spectra, alignments and layers' errors."""


@dataclass(frozen=True)
class Source:
    """Whose kernel it is.

    Attributes:
        trained_on: m; 0 of a kernel before training.
        step: t; −1 where it is not of a step.
        width: 0: infinite.
        group, position: where in the store of networks its parameters lie.
    """

    trained_on: int
    step: int
    width: int
    group: str = ""
    position: int = 0


@dataclass(frozen=True)
class RegressionJob:
    """All regressions with one kind of kernel.

    Attributes:
        spec: which.
        task: the samples.
        networks: the store of trained networks; None where there are none.
        device: of the kernels' arithmetic.
    """

    spec: RegressionSpec
    task: LoadedTask
    networks: ZarrStore | None
    device: torch.device

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """The kernels of a seed, in order."""
        spec = self.spec
        if spec.source == "infinite":
            return (Source(0, -1, 0),)
        width = spec.network.width
        if spec.source == "initial":
            return (Source(0, -1, width),)
        if spec.source == "after":
            return tuple(
                Source(m, -1, width, "best", self._position("size", m)) for m in spec.trained_on
            )
        assert spec.networks is not None
        m = spec.networks.during_samples or spec.networks.sizes[-1]
        return tuple(Source(m, t, width, "during", self._position("step", t)) for t in spec.steps)

    @cached_property
    def definition(self) -> Definition:
        """Of the networks, of one output; in the NTK parametrisation for the infinite limit."""
        model = self.spec.network
        if self.spec.source == "infinite":
            limit = {"parametrisation": "ntk", "initialisation": "pytorch"}
            model = model.model_copy(update=limit)
        return define(model, self.task.shape, 1)

    @cached_property
    def layers(self) -> list[str]:
        """Those whose kernels are regressed by themselves; none of an infinite kernel."""
        if not self.spec.by_layer or self.spec.source == "infinite":
            return []
        return layer_names(self.definition.build())

    @cached_property
    def working_bytes(self) -> int:
        """What an empirical kernel takes beside itself, at most."""
        *pixels, channels = self.task.shape
        few = torch.zeros(2, channels, *pixels, dtype=self.dtype, device=self.device)
        return working_bytes(self._on_device(self.definition.build()), few)

    @property
    def dtype(self) -> torch.dtype:
        """Of the kernels' arithmetic."""
        found: torch.dtype = getattr(torch, self.spec.precision)
        return found

    @property
    def ridges(self) -> Ridges:
        """The grid and its criterion: of real targets always the squared error."""
        criterion = "squared" if self.task.error == "squared" else self.spec.criterion
        return Ridges(self.spec.ridges, criterion, self.spec.leave_one_out_most)

    def fitted(self, source: Source, fit: str) -> int:
        """Most samples of a fit: a trained network has m of its own and no more."""
        most = self.spec.sizes[-1]
        return min(most, source.trained_on) if fit == "own" and source.trained_on else most

    def members(self, seed: int, source: Source) -> list[nn.Module] | None:
        """The networks over which a kernel is the mean, in eval mode; None of one that diverged.

        Args:
            seed: its position among the task's.
            source: not infinite.
        """
        if source.group:
            parameters = self._parameters(seed, source)
            return None if parameters is None else [self._network(parameters)]
        own = self.spec.task.seeds[seed]
        further = (
            torch_seed(own, RandomStream.ENSEMBLE, number)
            for number in range(1, self.spec.ensemble)
        )
        return [self._on_device(self.definition.build(each)) for each in (own, *further)]

    def _on_device(self, network: nn.Module) -> nn.Module:
        return network.to(self.device, self.dtype).eval()

    def _network(self, parameters: dict[str, np.ndarray]) -> nn.Module:
        network = self._on_device(self.definition.build())
        load_tensors(network, {name: torch.from_numpy(each) for name, each in parameters.items()})
        return network

    def _parameters(self, seed: int, source: Source) -> dict[str, np.ndarray] | None:
        """Name → trained parameters; None where training diverged."""
        store = self._store
        index = (self._position("seed", self.spec.task.seeds[seed]), source.position)
        flag = "during_diverged" if source.group == "during" else "diverged"
        if store.read(flag, index):
            return None
        names = store.names(source.group)
        found = {name: store.read(f"{source.group}/{name}", index) for name in names}
        broken = [name for name, each in found.items() if not np.isfinite(each).all()]
        if broken:
            raise StoreError(
                f"{source.group}/{broken[0]} has no finite numbers at {index}, and the network did "
                "not diverge",
                where=store.path,
                remedy=f"the store is damaged; {remake(store.path)}",
            )
        return found

    @property
    def _store(self) -> ZarrStore:
        if self.networks is None:
            raise StoreError(
                f"kernels of source {self.spec.source!r} need trained networks",
                where=self.spec.id,
                remedy="give the store of kind 'networks' that train_networks wrote",
            )
        return self.networks

    def _position(self, coordinate: str, value: int) -> int:
        """Where in the store of networks a seed, size or step is."""
        there: list[Any] = self._store.read(coordinate).tolist()
        if value in there:
            return there.index(value)
        raise StoreError(
            f"no {coordinate} {value} in the store of networks: it has {there}",
            where=self._store.path,
            remedy=replaced(self._store.path),
        )


def open_job(
    spec: RegressionSpec, task_path: Path, networks_path: Path | None, device: torch.device
) -> RegressionJob:
    """Open the stores that a specification needs.

    Raises:
        StoreError: without networks that it needs, of other seeds or fewer samples than it has, or
            whose networks have learnt some of its fresh samples.
    """
    task = load_task(task_path)
    wanted = {"train": spec.sizes[-1] if "own" in spec.fits else 0}
    wanted |= {"fresh": spec.sizes[-1] if "fresh" in spec.fits else 0, "test": spec.test}
    for split, count in wanted.items():
        if count > task.count(split):
            raise StoreError(
                f"{count} {split} samples are asked for and the task has {task.count(split)}",
                where=task_path,
                remedy=f"prepare the task with more, or ask for fewer; {replaced(task_path)}",
            )
    if task.seeds != spec.task.seeds:
        raise StoreError(
            f"the task has samples of the seeds {task.seeds}, not of {spec.task.seeds}",
            where=task_path,
            remedy=replaced(task_path),
        )
    _check_fresh(spec, task, task_path)
    networks = None if networks_path is None else ZarrStore.open(networks_path, "networks")
    return RegressionJob(spec, task, networks, device)


def _check_fresh(spec: RegressionSpec, task: LoadedTask, task_path: Path) -> None:
    """Refuse fresh samples that a network has learnt: a finite task gives both from two ends."""
    most, networks = task.train_and_fresh, spec.networks
    if most is None or networks is None or "fresh" not in spec.fits:
        return
    learnt = max(spec.trained_on, default=networks.during_samples or networks.sizes[-1])
    if learnt + spec.sizes[-1] > most:
        raise StoreError(
            f"of {most} samples {learnt} were learnt by a network, so that {spec.sizes[-1]} others "
            "are not left for fresh ones",
            where=task_path,
            remedy="ask for fewer samples, leave fresh out of kernels.fits, or take a larger task",
        )
