"""Expansion of an experiment: every point of its sweep as a `Cell` with its run and twin."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ntkscope.config.datasets import facts_of, title_of
from ntkscope.config.networks import ARGUMENT, model_spec, say_point, size_of
from ntkscope.config.sections import Config, Dataset, Experiment, Regime, Section
from ntkscope.config.specs import (
    DatasetSpec,
    KernelSpec,
    MethodSpec,
    OptimizerSpec,
    RunSpec,
    SnapshotSpec,
    Task,
)
from ntkscope.config.streams import Point, tasks_of
from ntkscope.config.sweep_checks import Cell, check_analysis, check_points
from ntkscope.config.variants import by_variant
from ntkscope.errors import ConfigError
from ntkscope.identity import digest
from ntkscope.runtime.nearest import did_you_mean


def expand(config: Config, name: str) -> list[Cell]:
    """All cells of the experiment `name`, in the order of the configuration.

    A point of the sweep with more seeds than are trained together is a cell for each run of them.

    Raises:
        ConfigError: a point of the sweep that cannot be run; names the keys and what is allowed.
    """
    if name not in config.experiments:
        raise ConfigError(
            f"there is no experiment {name!r}{did_you_mean(name, config.experiments)}",
            where="experiments",
            remedy=f"use one of: {', '.join(config.experiments) or 'none is configured'}",
        )
    cells = [
        replace(cell, facts=_facts(config, own.dataset, name, cell))
        for variant, own in by_variant(config, name)
        for cell in _sweep(own, name, variant)
    ]
    check_analysis(config.experiments[name], cells, f"experiments.{name}")
    return cells


def _facts(config: Config, dataset: Dataset, name: str, cell: Cell) -> dict[str, dict[str, str]]:
    """What is known of a cell's regime and variant beside their names (`Cell.facts`)."""
    role: str = config.regimes[cell.axes["regime"]].role or ""
    found = {"regime": {"role": role}}
    if "variant" not in cell.axes:
        return found
    variant, model = config.experiments[name].variants[cell.axes["variant"]], cell.run.model
    about = {
        "dataset": cell.run.dataset.name,
        "title": title_of(dataset),
        "model": model.function.rpartition(":")[2] if model.function else model.kind,
    }
    return {**found, "variant": {"role": variant.role or "", **about}}


def _sweep(config: Config, name: str, variant: str | None) -> Iterator[Cell]:
    """The cells of one variant (None: of an experiment without any)."""
    experiment = config.experiments[name]
    where = f"experiments.{name}" + (f".variants.{variant}" if variant else "")
    regimes = [config.regimes[key] for key in experiment.regimes if key in config.regimes]
    common = _lists_of(experiment.model, experiment.stream, experiment.training)
    lists = ([*_lists_of(regime), *common] for regime in regimes)
    check_points(lists, -(-len(_seeds(config, name)) // _seeds_per_run(config, name)), where)
    for regime in _regimes(config, experiment, where):
        for model in _points(experiment.model):
            for stream in _points(experiment.stream):
                for training in _points(experiment.training):
                    cell = _cell(config, (name, where), regime, model, stream, training)
                    whole = replace(cell, axes=_with_variant(cell.axes, variant))
                    yield from _by_seeds(whole, _seeds_per_run(config, name))


def _seeds(config: Config, name: str) -> tuple[int, ...]:
    return tuple(config.experiments[name].seeds or config.seeds)


def _seeds_per_run(config: Config, name: str) -> int:
    return config.experiments[name].seeds_per_run or config.seeds_per_run


def _by_seeds(cell: Cell, most: int) -> Iterator[Cell]:
    """The cell with at most so many of its seeds at a time, in their order."""
    seeds = cell.run.seeds
    for first in range(0, len(seeds), most):
        some = {"seeds": seeds[first : first + most]}
        run, twin = cell.run.model_copy(update=some), cell.twin
        yield replace(cell, run=run, twin=twin and twin.model_copy(update=some))


def _with_variant(axes: dict[str, Any], variant: str | None) -> dict[str, Any]:
    """The axes with the variant's after regime and width."""
    if variant is None:
        return axes
    first = {key: axes[key] for key in ("regime", "width")}
    return {**first, "variant": variant, **axes}


def runs_of(config: Config) -> dict[str, RunSpec]:
    """Every run that any experiment needs, parents included, by id."""
    found: dict[str, RunSpec] = {}
    for name in config.experiments:
        for cell in expand(config, name):
            for run in filter(None, (cell.run, cell.twin)):
                found.update({ancestor.id: ancestor for ancestor in run.lineage})
    return found


def datasets_of(config: Config) -> dict[str, Dataset]:
    """Where the images of each prepared dataset come from, by the id of its store."""
    used = [own.dataset for name in config.experiments for _, own in by_variant(config, name)]
    return {dataset_spec(dataset).id: dataset for dataset in used}


def dataset_spec(dataset: Dataset) -> DatasetSpec:
    """The prepared data set that a section asks for."""
    facts = facts_of(dataset)
    return DatasetSpec(
        name=dataset.known_as,
        content=facts.content,
        classes=None if facts.content is None else facts.classes,
        class_list=_file_digest(dataset.class_list),
        train_samples=dataset.train_samples,
        test_samples=dataset.test_samples,
    )


def _points(section: Section) -> Iterator[Point]:
    """Every combination of a section's lists, as plain dicts; swept keys under `_axes`.

    Arguments of a user's own network are keys `arguments.NAME`, and axes by their names alone.
    """
    values, lists = _values_of(section)
    swept = [key for key, value in lists.items() if len(value) > 1]
    for combination in itertools.product(*lists.values()):
        point = {**values, **dict(zip(lists, combination, strict=True))}
        yield {**point, "_axes": {key.removeprefix(ARGUMENT): point[key] for key in swept}}


def _values_of(section: Section) -> tuple[Point, dict[str, list[Any]]]:
    """What a section says, without arguments; and its lists, arguments' among them."""
    values = {key: getattr(section, key) for key in type(section).model_fields}
    own = {f"{ARGUMENT}{name}": given for name, given in values.pop("arguments", {}).items()}
    return values, {k: each for k, each in {**values, **own}.items() if isinstance(each, list)}


def _lists_of(*sections: Section) -> list[list[Any]]:
    return [values for section in sections for values in _values_of(section)[1].values()]


def _regimes(config: Config, experiment: Experiment, where: str) -> Iterator[Point]:
    for regime in experiment.regimes:
        if regime not in config.regimes:
            raise ConfigError(
                f"there is no regime {regime!r}",
                where=f"{where}.regimes",
                remedy=f"use one of: {', '.join(config.regimes)}, or add regimes.{regime}",
            )
        section: Regime = config.regimes[regime]
        for point in _points(section):
            yield {**point, "_axes": {"regime": regime, **point["_axes"]}}


def _cell(
    config: Config,
    place: tuple[str, str],
    regime: Point,
    model: Point,
    stream: Point,
    training: Point,
) -> Cell:
    """One cell of the experiment named first in `place`; the second says where mistakes are."""
    experiment, where = config.experiments[place[0]], place[1]
    facts = facts_of(config.dataset)
    try:
        tasks = tasks_of(stream, facts.classes)
    except ValueError as error:
        raise ConfigError(
            f"this stream is impossible: {error}",
            where=f"{where}.stream ({say_point(stream)})",
            remedy=f"use at most {facts.classes} classes in all, or another dataset",
        ) from None
    _check_batch(config, training, tasks[0].classes, where)
    _check_window(experiment.fits.window, tasks, f"experiments.{place[0]}.fits.window")
    width = size_of(model, "width", where)
    run = RunSpec(
        dataset=dataset_spec(config.dataset),
        tasks=tasks,
        method=_method(training, where),
        model=model_spec(config.dataset, regime, model, where),
        optimizer=_optimizer(regime, training, width, where),
        loss=training["loss"],
        batch_size=training["batch_size"],
        sampling=_sampling(training, tasks, where),
        seeds=_seeds(config, place[0]),
        snapshots=SnapshotSpec(**experiment.snapshots.model_dump()),
        precision=experiment.training.precision,
        evaluation_samples=experiment.training.evaluation_samples,
    )
    axes = {**regime["_axes"], "width": width}
    for point in (model, stream, training):
        _refuse_two_axes(axes, point, where)
        axes.update(point["_axes"])
    twin = run.twin if experiment.twin and run.boundaries else None
    return Cell(axes, run, twin, _kernel(config, experiment, run, where))


def _refuse_two_axes(axes: dict[str, Any], point: Point, where: str) -> None:
    """An argument of a user's own network may have the name of a key that is swept too."""
    twice = sorted((axes.keys() & point["_axes"].keys()) - {"width"})
    if twice:
        raise ConfigError(
            f"two sweeps are called {twice[0]}, which would be one axis of the table",
            where=where,
            remedy="give one of them one value, or the argument another name",
        )


def _optimizer(regime: Point, training: Point, width: int, where: str) -> OptimizerSpec:
    if training["optimizer"] == "adam" and training["momentum"]:
        raise ConfigError(
            f"momentum = {training['momentum']} has no meaning for adam",
            where=f"{where}.training.momentum",
            remedy="remove momentum, or use optimizer: sgd",
        )
    rate = regime["learning_rate"]
    return OptimizerSpec(
        kind=training["optimizer"],
        learning_rate=rate / width if regime["scaling"] == "inverse_width" else rate,
        momentum=training["momentum"],
        weight_decay=training["weight_decay"],
        schedule=training["schedule"],
    )


def _method(training: Point, where: str) -> MethodSpec:
    kind, strength = training["method"], training["method_strength"]
    if kind == "replay" and strength > 1:
        raise ConfigError(
            f"method_strength = {strength} is the share of a batch that is replayed",
            where=f"{where}.training.method_strength",
            remedy="use a number from 0 to 1",
        )
    return MethodSpec(kind=kind) if kind == "plain" else MethodSpec(kind=kind, strength=strength)


def _sampling(training: Point, tasks: tuple[Task, ...], where: str) -> Any:
    weighted = any(task.weights is not None for task in tasks)
    if weighted and training["sampling"] == "epochs":
        raise ConfigError(
            "a stream of class frequencies cannot be sampled by epochs, which show each image once",
            where=f"{where}.training.sampling",
            remedy="set sampling: independent",
        )
    return training["sampling"]


def _check_batch(config: Config, training: Point, classes: tuple[int, ...], where: str) -> None:
    available = _images_available(config, len(classes))
    too_many = available is not None and training["batch_size"] > available
    if training["sampling"] == "epochs" and too_many:
        raise ConfigError(
            f"batch_size = {training['batch_size']} is more than the {available} training images "
            f"of a task of {len(classes)} classes",
            where=f"{where}.training.batch_size",
            remedy=f"use at most {available}, or sampling: independent",
        )


def _check_window(window: int, tasks: tuple[Task, ...], where: str) -> None:
    """Refuse steps that would count as just before a boundary and lie before the one before it."""
    shortest = min(task.steps for task in tasks)
    if len(tasks) > 2 and window > shortest:
        raise ConfigError(
            f"{window} steps before a boundary reach over the last one: a task has {shortest}",
            where=where,
            remedy=f"write at most {shortest}, or give tasks more steps",
        )


def _kernel(config: Config, experiment: Experiment, run: RunSpec, where: str) -> KernelSpec:
    probe = experiment.probe
    if probe.task > len(run.tasks):
        raise ConfigError(
            f"the probe is of task {probe.task}, but the stream has {len(run.tasks)} tasks",
            where=f"{where}.probe.task",
            remedy=f"use a task from 1 to {len(run.tasks)}",
        )
    task = run.tasks[probe.task - 1]
    available = _images_available(config, len(task.classes))
    if available is not None and probe.samples > available:
        raise ConfigError(
            f"a probe of {probe.samples} images is larger than its task, which has "
            f"{available} training images (class-balanced)",
            where=f"{where}.probe.samples",
            remedy=f"use at most {available}",
        )
    if probe.samples < len(task.classes):
        raise ConfigError(
            f"a probe of {probe.samples} images cannot hold all of {len(task.classes)} classes",
            where=f"{where}.probe.samples",
            remedy=f"use at least {len(task.classes)}",
        )
    return KernelSpec(
        kind=experiment.kernel.kind,
        by_layer=experiment.kernel.by_layer and experiment.kernel.kind == "trace",
        precision=experiment.kernel.precision,
        samples=probe.samples,
        seed=probe.seed,
        classes=task.classes,
        labels=task.labels,
    )


def _images_available(config: Config, classes: int) -> int | None:
    """Class-balanced training images of `classes` classes; None where only the files tell."""
    facts = facts_of(config.dataset)
    per_class = facts.train_per_class
    if config.dataset.train_samples is not None:
        limit = config.dataset.train_samples // facts.classes
        per_class = limit if per_class is None else min(limit, per_class)
    return None if per_class is None else classes * per_class


def _file_digest(file: str | None) -> str | None:
    """Digest of a file that decides what the data are; of its name where it is not there yet."""
    if file is None:
        return None
    path = Path(file).expanduser()
    return digest(path.read_text("utf-8", "replace").split() if path.is_file() else file)
