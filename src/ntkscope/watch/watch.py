"""`Watch`: the NTK of any network in anybody's training loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ntkscope.errors import NtkscopeError, StoreError
from ntkscope.metrics.failures import NEVER
from ntkscope.metrics.observers import Stream
from ntkscope.metrics.stream_metrics import GIVEN, Log, Snapshots, StreamMetrics, metrics_table
from ntkscope.ntk.kinds import normalisation
from ntkscope.runtime.logs import log
from ntkscope.runtime.signals import Ending
from ntkscope.statistics.shift_detector import ShiftDetector
from ntkscope.watch.alarm import Alarm, ShiftAlarm, check_alarm
from ntkscope.watch.kernel import Arrays, ProbeKernel, evaluating, unwrapped, values_of
from ntkscope.watch.kernel_store import KernelStore, Snapshot
from ntkscope.watch.mishaps import Mishaps
from ntkscope.watch.online import online_values
from ntkscope.watch.overhead import Overhead
from ntkscope.watch.probe import Probe, WatchError, make_probe
from ntkscope.watch.report import Report, checked_options, whole_step
from ntkscope.watch.schedule import LossJumps, Schedule
from ntkscope.watch.stored import State, Stored, state_of

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

_LOGGED = ("loss", "accuracy")


class Watch:
    """Watches the NTK of a network while it learns, and changes nothing of its training.

    Put `watch.step(step)` behind each optimiser step; the watch decides itself when a kernel is
    due. A kernel is of the network in evaluation mode (running statistics, no dropout); modes,
    buffers, gradients and the states of all random generators are given back. It holds the kernels
    of the start, of the last boundary and of the last `dt` steps, no others.

    No kernel ends a training: of a network that has diverged it is NaN, as is the run's table from
    there on; one for which there is no memory is left out; what the disk refuses is kept, and
    written later. Each is said once.

    The first step that it is given is the start: `watch.step(0)` before the loop makes that the
    network as initialised. Under `DistributedDataParallel` it works on rank 0; others are idle. A
    copy, of `copy.deepcopy` or `pickle`, watches a copy of the network: `copy.model`.

    Args:
        model: any torch module, also compiled or wrapped for data parallelism.
        probe: the fixed samples [N, …] of its kernels: a tensor, an array, or a tuple or mapping of
            them, as the model is called. A hundred are enough for most questions.
        labels: their classes, (N,), or one-hot, (N, C); None where there are none: then alignment
            is not measured.
        store: a folder to write every kernel into, as a Zarr store that the workflow reads too. A
            run that has ended goes on from it: before the first step that is given, or, without
            numbers, behind the last step told when it was written, by `flush`, `close` or `leave`,
            or with a kernel. Steps behind that of a run that was killed are counted again; if there
            was none of the three calls since, a warning says from where: the checkpoint may be of
            another step. A kill loses the kernels of one second at most, and 32 at most; how many
            steps that were due have none is said where the run goes on. A boundary whose kernel is
            lost counts at the kernel before. None: metrics alone are kept, in memory.
        kind, output, parameters: as of `empirical_ntk`.
        by_layer: whether layers are measured too (kind trace).
        dt: steps behind a velocity.
        every: a kernel every so many steps; None: dense around boundaries and where the loss jumps,
            log-spaced elsewhere.
        dense: how many steps around a boundary are all due.
        overhead: share of the run's time that may go into watching. Kernels that would cost more
            are left out, those of boundaries last; None: none is. Which are left out depends on the
            machine: where runs are to be compared step by step, give None.
        log_fn: called with (name → number, step) for each kernel, names such as `ntk/velocity`.
        seed: of the run, a coordinate of its table.

    Raises:
        WatchError: a probe, labels or options that cannot be.
        ModelError: at the first step, a model whose kernel is not defined.

    Example:
        >>> import torch, ntkscope
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(),
        ...                             torch.nn.Linear(16, 2))
        >>> x = torch.randn(64, 4)
        >>> y = (x[:, 0] > 0).long()
        >>> optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
        >>> watch = ntkscope.Watch(model, x[:20], y[:20], overhead=None)
        >>> for step in range(40):
        ...     labels = y if step < 20 else 1 - y
        ...     loss = torch.nn.functional.cross_entropy(model(x), labels)
        ...     optimiser.zero_grad(); loss.backward(); optimiser.step()
        ...     values = watch.step(step, loss=loss)
        ...     if step == 19:
        ...         watch.boundary(step)
        >>> watch.dataset().velocity.sizes["seed"]
        1
    """

    def __init__(
        self,
        model: nn.Module,
        probe: Any,
        labels: Any = None,
        *,
        store: str | Path | None = None,
        kind: str = "trace",
        by_layer: bool = True,
        output: Any = None,
        parameters: Any = None,
        dt: int = 1,
        every: int | None = None,
        dense: int = 16,
        overhead: float | None = 0.05,
        log_fn: Callable[[dict[str, float], int], Any] | None = None,
        seed: int = 0,
    ) -> None:
        checked_options(dt=dt, every=every, dense=dense, overhead=overhead)
        self._probe: Probe = make_probe(probe, labels)
        inside = unwrapped(model)
        options = {"output": output, "parameters": parameters}
        self._kernel = ProbeKernel(
            inside, self._probe, kind, by_layer, {k: v for k, v in options.items() if v is not None}
        )
        self._schedule = Schedule(dt=dt, every=every, dense=dense)
        self._overhead, self._jumps = Overhead(overhead), LossJumps()
        self._log_fn, self._seed, self._dt = log_fn, seed, dt
        self._path = None if store is None else Path(store).absolute()
        self._active = _is_first_rank()
        self._steps_seen = 0
        self._forget()
        self._store: KernelStore | None = None
        self._given: dict[str, Any] = dict.fromkeys(_LOGGED)
        self._alarms: list[ShiftAlarm] = []
        self._mishaps = Mishaps()

    def _forget(self) -> None:
        """Nothing was seen of the run yet."""
        self._last_step = -1
        self._steps: list[int] = []
        self._tasks: list[int] = []
        self._logged: list[dict[str, list[float]]] = []
        self._boundaries: list[int] = []
        self._metrics: StreamMetrics | None = None
        self._layers: tuple[str, ...] | None = None
        self._precision = ""
        self._diverged: int | None = None  # the first step whose kernel was not finite
        self._seen: State = ()  # the store, as it was looked at
        self._stored = 0  # kernels that it had before the first step
        self._flushed = -1  # the step at which it was last flushed

    # --- the loop -------------------------------------------------------------------------------

    def step(
        self, step: int | None = None, *, loss: Any = None, accuracy: Any = None
    ) -> dict[str, float] | None:
        """Say that the parameters are those after a step; a kernel is computed if one is due.

        Args:
            step: its number, above those before; None: one more, also than the store's last.
            loss, accuracy: a number, of the present task, or one for each task seen; or a function
                of nothing that gives them, called (in evaluation mode) where a kernel is computed.
                A loss that is given as a number also tells where it jumps.

        Returns:
            What `log_fn` is given, if a kernel was computed.

        Raises:
            WatchError: steps that do not increase, layers that are others than before, or a first
                step before all that the store has, which would be lost.
        """
        step = None if step is None else whole_step(step)
        if not self._is_active():
            self._last_step = self._last_step + 1 if step is None else step
            return None
        step = self._begin(step)
        if self._store is not None:
            self._store.told = step
        self._overhead.touch()
        self._mark_passed(step)
        self._given = {"loss": _detached(loss), "accuracy": _detached(accuracy)}
        self._note_loss(step, loss)
        why = self._schedule.due(step)
        if why and not self._overhead.allows(why):
            self._overhead.put_off += self._schedule.denied()
            why = ""
        if not why:
            self._flush_if_due()
            return None
        announced = step in self._schedule.announced
        found = self._compute(step, why)
        if announced and found is not None:
            self._mark_boundary(step)
        return found

    def boundary(self, step: int | None = None) -> None:
        """Say that the task ends at a step: its kernel is the last of that task.

        Args:
            step: the last one that was given to `step` (None), or a later one: then the steps
                before it are dense too. If the loop never gives it, the boundary is at the last
                kernel before it.

        Raises:
            WatchError: a step that lies in the past, or no step yet.
        """
        if not self._is_active():
            return
        if not self._steps_seen:
            self._take_store(None)
        step = self._last_step if step is None else whole_step(step)
        if step < self._last_step or self._last_step < 0:
            raise WatchError(
                f"a boundary at step {step}, but the run is at step {self._last_step}",
                where="boundary",
                remedy="call it with the step just made, or ahead of time",
            )
        if step > self._last_step:
            self._schedule.announced.add(step)
            return
        if step in self._boundaries:
            return
        if (self._steps and self._steps[-1] == step) or self._compute(step, "boundary") is not None:
            self._mark_boundary(step)
        else:
            self._schedule.announced.add(step)  # at the kernel before

    def alarm(
        self,
        of: str = "velocity",
        *,
        rate: float = 0.01,
        window: int | None = None,
        apart: int = 1,
        on_alarm: Callable[[Alarm], Any] | None = None,
    ) -> ShiftAlarm:
        """Raise an alarm where a number of the kernel rises beyond what it was: at a shift, say.

        No boundary need be declared. Call it before the loop, of a watch with `every=`, and with
        `overhead=None` if no step may be left out: it takes in what is measured from then on, and
        before that what the store has of a run that goes on. What `step` and `log_fn` are told has
        `ntk/alarm/{of}`, 1 or 0.

        Args:
            of: the number: `velocity`, another that `log_fn` is told (without `ntk/`), or `loss`.
            rate: false alarms a kernel, at most; `statistics.shift_detector` has the assumptions.
            window: values before that a value is compared with; None: 1/rate − 1, the fewest.
            apart: compare with every so many-th value before, where those nearer depend on it.
            on_alarm: called with each `Alarm` (step, of, value, p).

        Returns:
            The alarm; its `raised` lists what was raised.

        Raises:
            WatchError: a number that is not measured, or a watch without `every=`.
            ShiftDetectorError: a rate, or a window too short for it.

        Example:
            >>> import torch, ntkscope
            >>> model = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh())
            >>> watch = ntkscope.Watch(model, torch.randn(9, 3), every=1, overhead=None)
            >>> alarm = watch.alarm(rate=0.1)
            >>> for step in range(30):
            ...     with torch.no_grad():
            ...         model[0].weight += (1.0 if step == 20 else 0.01) * torch.randn(8, 3)
            ...     values = watch.step(step)
            >>> 20 in [each.step for each in alarm.raised]
            True
        """
        check_alarm(of, self._schedule.every)
        made = ShiftAlarm(of, ShiftDetector(rate, window, apart), on_alarm)
        self._alarms.append(made)
        if not self._steps_seen:
            self._forget()  # what the store has is taken in again, by the alarm too
        return made

    def flush(self, *, strict: bool = True) -> None:
        """Write what is not in the store yet: call it with each checkpoint of the training.

        A run without numbers that is killed before it writes more goes on behind this step.

        Args:
            strict: False: what is raised below is a warning.

        Raises:
            BusyError: another process writes the store.
            DiskError: the disk refuses it; what is not written is kept, and written later.
        """
        if self._store is not None:
            with nullcontext() if strict else self._mishaps.of_writing():
                self._store.flush(checkpoint=True)

    def close(self, *, strict: bool = True) -> None:
        """Write what is not in the store yet, and its manifest, for `ntkscope verify`.

        `with Watch(…) as watch:` does it at the end. A run may go on after it.

        Args:
            strict: False: what is raised below, and by `flush`, is a warning.

        Raises:
            StoreError: a file of the store is not as it was written.
        """
        if self._store is not None:
            with nullcontext() if strict else self._mishaps.of_writing():
                self._store.close()

    def leave(self) -> None:
        """Write what is not in the store yet, and let another process go on with it.

        For a run that was interrupted: its store is not sealed. `with Watch(…) as watch:` does it
        after an exception. This one may go on too, unless another has written the store since.
        """
        if self._store is not None:
            self._store.leave(checkpoint=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
            return
        try:
            if self._store is not None:
                self._store.leave()  # no checkpoint: where the training goes on is not known
        except NtkscopeError as error:  # what the loop has raised is heard
            log.warning("%s", error)

    def resume(self) -> int:
        """Look what the store has, for a run that does not know its last step.

        `step()` and `boundary()`, without a number, go on behind it by themselves. A first `step`
        with a number goes on before that number instead, also after this. Nothing is written, and
        another process may write the store meanwhile.

        Returns:
            The last step that its run was told of when it was last written; −1 if there is none.

        Raises:
            WatchError: the store is of another watch.
        """
        if self._is_active():
            self._look()
        return self._last_step

    @property
    def model(self) -> nn.Module:
        """That is watched, without wrappers."""
        return self._kernel.model

    @property
    def last_step(self) -> int:
        """That it was told of; −1 before the first."""
        return self._last_step

    # --- what it saw ----------------------------------------------------------------------------

    def dataset(self) -> xr.Dataset:
        """The metrics so far: the workflow's table of a run, with its names, units and attributes.

        Of a run that this watch was not told a step of, what its store has at the moment, which
        another process may be writing.

        Returns:
            Kind `metrics`, dims (seed, snapshot[, layer][, seen][, rank]); see `metrics.measure`.

        Raises:
            WatchError: no kernel was computed yet.
        """
        self.resume()
        metrics, steps = self._any_metrics(), np.asarray(self._steps, np.int64)
        seen = max([*self._tasks, *(len(v) for row in self._logged for v in row.values())])
        curves = {name: np.full((1, len(self._steps), seen), np.nan) for name in _LOGGED}
        for place, row in enumerate(self._logged):
            for name, values in row.items():
                curves[name][0, place, : len(values)] = values
        log = Log(curves, np.asarray([NEVER]), GIVEN)
        at = Snapshots(
            np.asarray([self._seed]),
            steps,
            np.asarray(self._tasks, np.int64),
            self._layers or (),
        )
        table = metrics_table(metrics.curves(), log, at)
        facts = {key: value for key, value in self._identity().items() if key != "layers"}
        return table.assign_attrs(
            **facts,
            kind="metrics",
            normalisation=normalisation(self._kernel.kind),
            boundaries=np.unique(steps[np.searchsorted(steps, self._boundaries, "right") - 1]),
            samples=len(self._probe),
            loss="",
        )

    def plot(self, path: str | Path | None = None, **style: Any) -> Figure:
        """The paper's figure of this run: velocity, norm, distance, alignment; see `figures.run`.

        Alarms that were raised are marked, at the panel of what they are of.

        Args:
            path: a file to write, `.pdf`, `.png` or `.svg`; None: none.
            style: of `FigureStyle`: `width_mm`, `palette`, `font_size`, `dpi`.
        """
        from ntkscope.figures.run import plot_run

        data = self.dataset()
        alarms: dict[str, list[int]] = {}
        for alarm in self._alarms:
            alarms.setdefault(alarm.of, []).extend(each.step for each in alarm.raised)
        return plot_run(data, path, alarms, **style)

    def report(self) -> Report:
        """What was watched, and what it cost; print it."""
        return Report(
            model=type(self._kernel.model).__name__,
            samples=len(self._probe),
            kind=self._kernel.kind,
            steps=self._steps_seen,
            kernels=len(self._steps) - (self._stored if self._steps_seen else 0),
            boundaries=len(self._boundaries),
            put_off=self._overhead.put_off,
            seconds=self._overhead.spent,
            total=self._overhead.total,
            bound=self._overhead.bound,
            store=self._path,
            active=self._active,
            diverged=self._diverged,
        )

    def __repr__(self) -> str:
        return str(self.report())

    # --- inside ---------------------------------------------------------------------------------

    def _is_active(self) -> bool:
        """Whether this process watches: told at the first step, as processes may meet late."""
        if self._last_step < 0:
            self._active = _is_first_rank()
        return self._active

    def _begin(self, step: int | None) -> int:
        """Take in a step's number, and go on from the store before the first."""
        if not self._steps_seen:
            self._take_store(step)
        elif step is not None and step <= self._last_step:
            raise WatchError(
                f"step {step} after step {self._last_step}",
                where="step",
                remedy="give numbers that increase; for another run make another Watch",
            )
        self._steps_seen += 1
        self._last_step = self._last_step + 1 if step is None else step
        return self._last_step

    def _say_where_it_goes_on(self) -> None:
        """A run without numbers knows how far the store is, and not how far its training was."""
        if self._last_step > self._flushed:
            flushed = f"at step {self._flushed}" if self._flushed >= 0 else "never"
            log.warning(
                "%s: the run was not closed; its store was written at step %d and flushed %s. "
                "Step %d is next; if the training goes on from another, give `step` its number",
                self._path,
                self._last_step,
                flushed,
                self._last_step + 1,
            )

    def _say_what_is_lost(self, before: int) -> None:
        """Of a run that was killed: what was due, or declared, and has no kernel in the store."""
        edges = [edge for edge in self._boundaries if edge not in self._steps]
        count = self._schedule.missed(self._steps, self._last_step, before) if self._steps else 0
        lost = [f"{count} steps between that were due"] if count else []
        lost += [f"the boundaries at {edges}, which count at the kernel before"] if edges else []
        if lost:
            log.warning(
                "%s: last written at step %d, and the run goes on from step %d; no kernel have %s",
                self._path,
                self._last_step,
                before,
                ", and ".join(lost),
            )

    def _take_store(self, before: int | None) -> None:
        """Hold the store, as one that writes it, and take in what it has before a step."""
        if self._path is None:
            return
        store = KernelStore(self._path, self._probe, self._seed)
        store.begin(self._kind_of_kernels(), before)
        self._look()
        if before is None and self._store is None:
            self._say_where_it_goes_on()
        if before is not None:
            self._say_what_is_lost(before)
        self._store = store

    def _flush_if_due(self) -> None:
        if self._store is not None:
            with self._overhead.aside(), self._mishaps.of_writing():
                self._store.flush_if_due()

    def _note_loss(self, step: int, loss: Any) -> None:
        if loss is None or callable(loss):
            return
        values = values_of(loss)
        if len(values) > 1 and isinstance(loss, torch.Tensor) and loss.requires_grad:
            raise WatchError(
                f"a loss of {len(values)} numbers, from the loss function: one for each sample?",
                where="step",
                remedy="give its mean; several numbers are those of the tasks seen, in order",
            )
        if len(values) == 1 and self._jumps.jumped(values[0]) and self._steps:
            self._schedule.restart(step - 1, boundary=False)

    def _compute(self, step: int, why: str) -> dict[str, float] | None:
        """The kernel of a step, what is measured of it, and where it goes; None: there is none."""
        _synchronise(self._kernel.model)
        with self._overhead.timed():
            with evaluating(self._kernel.model):
                arrays = self._kernel_of(step)
                if arrays is None:
                    self._schedule.taken(step, why)
                    return None
                logged = {name: values_of(self._given[name]) for name in _LOGGED}
            layers = tuple(arrays.pop("layers").tolist()) if "layers" in arrays else ()
            self._check_same(layers, str(arrays["ntk"].dtype))
            task = 1 + len(self._boundaries)
            logged = {name: _of_tasks(values, task) for name, values in logged.items()}
            with Ending() as ending:  # whole or not at all: a Ctrl-C waits
                self._take_in(step, task, arrays, logged)
                self._schedule.taken(step, why)
                if self._store is not None:
                    with self._mishaps.of_writing():
                        self._store.add(Snapshot(step, task, arrays, logged), self._identity())
                ending.obey()
            found = self._told(step, logged)
            if self._log_fn is not None:
                self._log_fn(found, step)
        return found

    def _kernel_of(self, step: int) -> Arrays | None:
        """The kernel of a step; None of a model that has none any more, or without memory."""
        try:
            arrays = self._kernel.compute()
        except (NtkscopeError, RuntimeError, MemoryError) as error:
            if self._steps_seen <= 1 and isinstance(error, NtkscopeError):
                raise
            self._mishaps.say_missed(step, error)
            return None
        if not np.isfinite(arrays["ntk"]).all():
            self._mishaps.say(
                "diverged",
                f"step {step}: the kernel is not finite, since the network has diverged or its "
                "gradients overflow, and the run's table is NaN from there on",
            )
        elif self._diverged is not None:
            self._mishaps.say(
                "recovered",
                f"step {step}: the kernel is finite again, and told and stored, while the run's "
                f"table stays NaN from step {self._diverged} on; of a network that was set "
                "back, make a new Watch of the store, and give the step of the checkpoint",
            )
        return arrays

    def _told(
        self, step: int, logged: Mapping[str, Sequence[float]], *, again: bool = False
    ) -> dict[str, float]:
        """What a logger is told of the last kernel, alarms included."""
        latest = self._any_metrics().latest()
        found = online_values(latest, self._layers or (), logged)
        for alarm in self._alarms:
            diverged = bool(latest["diverged"][0])
            found |= alarm.take_in(step, found, diverged=diverged, again=again)
        return found

    def _take_in(
        self, step: int, task: int, arrays: Arrays, logged: dict[str, list[float]]
    ) -> None:
        if self._metrics is None:
            self._metrics = StreamMetrics(self._stream(arrays["ntk"]))
        rows = int(np.prod(arrays["ntk"].shape[: arrays["ntk"].ndim // 2]))

        def read(name: str) -> NDArray[np.float64]:
            values = np.asarray(arrays[name], np.float64)
            lead = values.shape[:1] if name == "layer_ntk" else ()
            return values.reshape(1, *lead, rows, rows)

        self._metrics.update(step, read)
        if self._diverged is None and self._metrics.rows[-1]["diverged"].any():
            self._diverged = step
        self._steps.append(step)
        self._tasks.append(task)
        self._logged.append(logged)

    def _stream(self, ntk: NDArray[Any]) -> Stream:
        return Stream(
            dt=self._dt,
            seeds=1,
            layers=self._layers or (),
            labels=self._probe.labels,
            outputs=ntk.shape[1] if ntk.ndim == 4 else 1,
            tolerance=8.0 * float(np.finfo(ntk.dtype).eps),
        )

    def _check_same(self, layers: tuple[str, ...], precision: str) -> None:
        """Refuse kernels that cannot be compared with those before."""
        if self._layers is None:
            self._layers, self._precision = layers, precision
        if layers != self._layers:
            changed = sorted({*layers} ^ {*self._layers}) or list(layers)
            raise WatchError(
                f"the layers that learn have changed: {', '.join(changed[:4])}",
                where="model",
                remedy="watch it with by_layer=False, or begin another Watch where they change",
            )
        if precision != self._precision:
            raise WatchError(
                f"kernels were in {self._precision}, and now are in {precision}",
                where="model",
                remedy="keep the model's dtype, or begin another Watch, with another store",
            )

    def _mark_boundary(self, step: int) -> None:
        self._boundaries.append(step)
        self._any_metrics().mark_boundary()
        self._schedule.restart(step)
        self._jumps = LossJumps()  # the jump of the loss at a boundary is the boundary's
        if self._store is not None:
            with self._mishaps.of_writing():
                self._store.mark_boundary(self._boundaries)

    def _mark_passed(self, step: int) -> None:
        """A boundary that was announced, and passed over, is at the last kernel before it."""
        for passed in sorted(edge for edge in self._schedule.announced if edge < step):
            self._schedule.announced.discard(passed)
            if self._steps and self._steps[-1] not in self._boundaries:
                self._mark_boundary(self._steps[-1])

    def _any_metrics(self) -> StreamMetrics:
        if self._metrics is None:
            raise WatchError(
                "no kernel was computed yet",
                where="watch",
                remedy="call watch.step() in the training loop; the first call computes one",
            )
        return self._metrics

    def _kind_of_kernels(self) -> dict[str, Any]:
        """What kernels must agree in to be of one run."""
        return {
            "kernel": self._kernel.kind,
            "probe_digest": self._probe.digest,
            "dt": self._dt,
        }

    def _identity(self) -> dict[str, Any]:
        found = {"precision": self._precision, "layers": list(self._layers or ())}
        return self._kind_of_kernels() | found

    def _look(self) -> None:
        """Take in what the store has, before the first step, unless it is as it was looked at.

        Whatever another process does to it meanwhile: nothing of it is half taken in.

        Raises:
            StoreError: the store is damaged.
            WatchError: it is of another watch.
        """
        if self._steps_seen or self._path is None:
            return
        for _ in range(_LOOKS):
            state = state_of(self._path)
            if state == self._seen:
                return
            if not state:  # it was deleted since
                self._forget_run()
                return
            try:
                found = Stored.open(self._path)
                self._take_in_again(found)
                if found.is_still_there():
                    self._seen = state
                    return
            except StoreError:
                if state == state_of(self._path):
                    raise
        raise StoreError(
            "the store was changed, again and again, while it was read",
            where=self._path,
            remedy="look again, once the run that goes on from it has begun",
        )

    def _forget_run(self) -> None:
        """Nothing was seen of the run, by schedule and alarms either."""
        self._forget()
        self._schedule = self._schedule.anew()
        for alarm in self._alarms:
            alarm.forget()

    def _take_in_again(self, stored: Stored) -> None:
        """What a store has of this run, and nothing else."""
        stored.refuse_other(self._kind_of_kernels(), self._seed)
        self._forget_run()
        self._precision = str(stored.attrs.get("precision"))
        self._layers = tuple(stored.attrs.get("layers", ()))
        boundaries = sorted(stored.boundaries)
        for place, step in enumerate(stored.steps.tolist()):
            row = {name: _known(values[place]) for name, values in stored.logged.items()}
            self._take_in(step, int(stored.tasks[place]), stored.arrays(place), row)
            self._schedule.taken(step, self._schedule.due(step) or "spaced")
            if self._alarms:
                self._told(step, row, again=True)
            last = place == len(stored.steps) - 1
            behind = np.inf if last else stored.steps[place + 1]
            for edge in (edge for edge in boundaries if step <= edge < behind):
                self._boundaries.append(edge)  # perhaps of a step whose kernel was not written
                self._any_metrics().mark_boundary()
                self._schedule.restart(edge)
        self._last_step, self._flushed = stored.last_step, stored.flushed_step
        self._stored = len(self._steps)


_LOOKS = 5  # at a store that another process cuts back meanwhile


def _detached(given: Any) -> Any:
    """Without the graph that it was computed by, which must not outlive its step."""
    if isinstance(given, list | tuple):
        return [_detached(each) for each in given]
    return given.detach() if isinstance(given, torch.Tensor) else given


def _of_tasks(values: list[float], task: int) -> list[float]:
    """One value for each task; a single one is of the present task."""
    return [*[float("nan")] * (task - 1), *values] if len(values) == 1 else values


def _known(values: NDArray[np.float64]) -> list[float]:
    """Without the NaN of tasks that were not seen."""
    count = int(np.flatnonzero(np.isfinite(values)).max(initial=-1)) + 1
    return [float(value) for value in values[:count]]


def _is_first_rank() -> bool:
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized()):
        return True
    return distributed.get_rank() == 0


def _synchronise(model: nn.Module) -> None:
    """Let what training has queued on a GPU be training's time."""
    device = next(model.parameters()).device
    if device.type == "cuda":
        torch.cuda.synchronize(device)
