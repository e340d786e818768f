"""Expansion of an experiment of learning curves: its tasks, networks and kernel regressions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ntkscope.config.curve_specs import (
    LearningSpec,
    NetworksSpec,
    RegressionSpec,
    SampleCounts,
    ScalarTaskSpec,
)
from ntkscope.config.datasets import facts_of, title_of
from ntkscope.config.expand import dataset_spec
from ntkscope.config.memory_needs import bytes_by_tiles, bytes_to_regress
from ntkscope.config.networks import LAYERS, poolings_of
from ntkscope.config.sections import Config, Dataset
from ntkscope.config.sections.learning_curves import (
    CurvePart,
    Learning,
    Network,
    ScalarTask,
)
from ntkscope.config.specs import ModelSpec
from ntkscope.config.tasks import TASKS, Limits, check_counts, groups
from ntkscope.config.variants import curve_sections, task_dataset
from ntkscope.errors import ConfigError, DataError

LONE = "all"
"""The key of the one part of an experiment without parts."""


@dataclass(frozen=True)
class _Facts:
    """What is known of a task: its name as printed, shape of a sample, kind of error."""

    title: str
    shape: tuple[int, ...]
    error: str


@dataclass(frozen=True)
class Curves:
    """The curves of one part of an experiment at one width of its network.

    Attributes:
        part, role, label: of the part; its key, what it is to the analysis, its name in figures.
        title: of the task.
        dataset: where the images come from that the task is made of.
        networks: of the network's curve.
        regressions: with kernels; those that all widths share are at the first.
    """

    part: str
    role: str
    label: str
    title: str
    dataset: Dataset | None
    networks: NetworksSpec
    regressions: tuple[RegressionSpec, ...]

    @property
    def task(self) -> ScalarTaskSpec:
        """The task."""
        return self.networks.task


def parts_of(config: Config, name: str) -> Iterator[tuple[str, str, CurvePart]]:
    """Key, place in the configuration, and sections of each part, with the experiment's own.

    An experiment without parts is one part, called `all` and labelled as its task.
    """
    where, experiment = f"learning_curves.{name}", config.learning_curves[name]
    common = {**curve_sections(config, name), "role": experiment.role, "label": experiment.label}
    if not experiment.parts:
        yield LONE, where, CurvePart.model_construct(**common)
    for key, part in experiment.parts.items():
        own = {each: getattr(part, each) for each in part.model_fields_set}
        merged = CurvePart.model_construct(**{**common, "role": None, "label": None, **own})
        yield key, f"{where}.parts.{key}", merged


def expand_curves(config: Config, name: str) -> list[Curves]:
    """All curves of the experiment `name` of `learning_curves`, part by part.

    Raises:
        ConfigError: what cannot be trained or regressed; names the key and what is allowed.
    """
    found: list[Curves] = []
    for key, where, part in parts_of(config, name):
        _check_range(part, config.learning_curves[name].fits.range, where)
        found += _part(config, key, where, part)
    return found


_FEWEST_POINTS = 3


def _check_range(part: CurvePart, within: list[int], where: str) -> None:
    """Refuse curves of which the range of the fits leaves too few points for an exponent."""
    low, high = within
    for key in ("network", "kernel"):
        sizes = getattr(part.samples, key)
        inside = [n for n in sizes if low <= n <= high]
        if len(inside) < _FEWEST_POINTS <= len(sizes):
            raise ConfigError(
                f"of the n = {', '.join(map(str, sizes))} only {len(inside)} are in fits.range, "
                f"{low} to {high}, and an exponent needs {_FEWEST_POINTS}",
                where=f"{where}.samples.{key}",
                remedy="widen fits.range, or choose other n",
            )


def _part(config: Config, key: str, where: str, part: CurvePart) -> Iterator[Curves]:
    task, facts = _task(config, part.task, where), _facts(config, part.task)
    dataset = task_dataset(config, part.task)
    _check_counts(part, task, dataset, where)
    common: dict[str, Any] = {
        "part": key,
        "role": part.role or "",
        "label": part.label or (key.replace("_", " ") if key != LONE else facts.title),
        "title": facts.title,
        "dataset": dataset,
    }
    _check_learning(part, where)
    for number, width in enumerate(part.network.width):
        networks = NetworksSpec(
            task=task,
            model=_model(part.network, width, facts, where),
            learning=_learning(part.learning, width, facts, where),
            sizes=tuple(sorted(part.samples.network)),
            validation=part.samples.validation,
            test=part.samples.test,
            **_snapshots(part, where),
        )
        shared = _shared(part, task, facts, where) if number == 0 else ()
        regressions = (*shared, *_of_networks(part, networks, facts, where))
        for spec in regressions:
            _check_memory(spec, facts, config.resources.mem_mb, where)
        yield Curves(**common, networks=networks, regressions=regressions)


def _task(config: Config, task: ScalarTask, where: str) -> ScalarTaskSpec:
    dataset, chosen = task_dataset(config, task), TASKS[task.name].chosen
    for key in ("dataset", "positive"):
        if (getattr(task, key) is not None) != chosen:
            missing = (
                f"{task.name} needs a {key}" if chosen else f"{task.name} has no {key} to choose"
            )
            raise ConfigError(
                missing,
                where=f"{where}.task.{key}",
                remedy=f"give task.{key}" if chosen else f"remove {key}, or use name: two_groups",
            )
    if task.negative is not None and not chosen:
        raise ConfigError(
            f"{task.name} has no negative to choose",
            where=f"{where}.task.negative",
            remedy="remove negative, or use name: two_groups",
        )
    spec = {"name": task.name, "seeds": tuple(config.seeds)}
    if dataset is None:
        return ScalarTaskSpec(**spec)
    if chosen:
        _refuse_tokens(dataset, where)
        classes = facts_of(dataset).classes
        try:
            positive, negative = groups(
                task.positive or (), task.negative, classes, f"{where}.task"
            )
        except DataError as error:
            raise ConfigError(error.what, where=error.where, remedy=error.remedy) from None
        spec |= {"positive": positive, "negative": negative}
    return ScalarTaskSpec(dataset=dataset_spec(dataset), **spec)


def _refuse_tokens(dataset: Dataset, where: str) -> None:
    if facts_of(dataset).dtype == "int64":
        raise ConfigError(
            f"{dataset.known_as} holds tokens, and the samples of a task are images or vectors",
            where=f"{where}.task.dataset",
            remedy="take a data set of images or vectors",
        )


def _facts(config: Config, task: ScalarTask) -> _Facts:
    source, dataset = TASKS[task.name], task_dataset(config, task)
    shape = source.shape or (facts_of(dataset).shape if dataset else ())
    title = f"{title_of(dataset)}, two groups" if source.chosen and dataset else source.title
    return _Facts(title, shape, source.error)


def _limits(task: ScalarTaskSpec, dataset: Dataset | None) -> Limits:
    """The most samples that are known: of two groups from those of each class, if these are."""
    source = TASKS[task.name]
    if source.of_pools is None or dataset is None:
        return source.limits
    kept = list(facts_of(dataset).kept(dataset.train_samples, dataset.test_samples))
    classes = (*(task.positive or ()), *(task.negative or ()))
    pools = [sum(counts[each] for each in classes) for counts in kept]
    return source.of_pools(*pools) if pools else source.limits


def _check_counts(
    part: CurvePart, task: ScalarTaskSpec, dataset: Dataset | None, where: str
) -> None:
    """Refuse more samples than the task is known to have."""
    samples, kernels = part.samples, part.kernels
    trained = (samples.trained or samples.kernel) if kernels.after or kernels.during else []
    counts = SampleCounts(
        train=max(*samples.network, *samples.kernel, *(samples.infinite or ()), *trained),
        fresh=max(trained, default=0) if "fresh" in kernels.fits else 0,
        validation=samples.validation,
        test=samples.test,
    )
    try:
        check_counts(_limits(task, dataset), counts, task.name, f"{where}.samples")
    except DataError as error:
        raise ConfigError(error.what, where=error.where, remedy=error.remedy) from None


_MOST_STEPS = 10**7
FLOAT32_RIDGE = 1e-6
"""As `ntkscope.ntk.regression.ridge_scale.FLOORS`: ridges below it are left out in the job."""


def _check_learning(part: CurvePart, where: str) -> None:
    """Refuse a training that would never end."""
    learning = part.learning
    steps = LearningSpec(**_plain(learning)).budget(max(part.samples.network))
    if steps > _MOST_STEPS:
        raise ConfigError(
            f"a network may take {steps:.1e} steps, and would never end",
            where=f"{where}.learning",
            remedy="lower learning.epochs or learning.steps_at_least",
        )


def _check_memory(spec: RegressionSpec, facts: _Facts, mem_mb: int, where: str) -> None:
    """Refuse kernels that a job surely cannot hold; what they take to be made, the job adds.

    Those that memory does not hold are regressed with by tiles.
    """
    n, features = spec.sizes[-1], math.prod(facts.shape)
    whole = bytes_to_regress(spec, n, features, spec.leave_one_out_most)
    least = min(whole, bytes_by_tiles(spec, n, features))
    if least > mem_mb * 10**6:
        raise ConfigError(
            f"regressions on {n} samples take {least / 1e9:.1f} GB or more, and resources.mem_mb "
            f"gives {mem_mb / 1e3:.1f} GB",
            where=f"{where}.samples",
            remedy="use no such n in samples.kernel, infinite and trained, or raise mem_mb",
        )


def _model(network: Network, width: int, facts: _Facts, where: str) -> ModelSpec:
    ntk = network.parametrisation == "ntk"
    if ntk and network.initialisation != "pytorch":
        raise ConfigError(
            f"initialisation: {network.initialisation} has no meaning for parametrisation: ntk",
            where=f"{where}.network.initialisation",
            remedy="remove it: weights are unit normal",
        )
    if network.kind != "mlp" and len(facts.shape) != 3:
        raise ConfigError(
            f"{network.kind} cannot be given vectors, which the samples of this task are",
            where=f"{where}.network.kind",
            remedy="use kind: mlp, or a task of images",
        )
    halvings = poolings_of(network.kind, network.depth)
    if halvings and min(facts.shape[:2]) < 2**halvings:
        raise ConfigError(
            f"{network.kind} halves the image {halvings} times, but the images of this task are "
            f"{facts.shape[0]}×{facts.shape[1]} pixels",
            where=f"{where}.network.kind",
            remedy="use a shallower network, an mlp, or a task of larger images",
        )
    return ModelSpec(
        kind=network.kind,
        depth=LAYERS.get(network.kind, network.depth),
        width=width,
        activation=network.activation,
        bias=network.bias,
        parametrisation=network.parametrisation,
        initialisation=network.initialisation,
        weight_std=network.weight_std if ntk else None,
        bias_std=network.bias_std if ntk else None,
    )


def _learning(learning: Learning, width: int, facts: _Facts, where: str) -> LearningSpec:
    if learning.loss == "logistic" and facts.error != "zero_one":
        raise ConfigError(
            "loss: logistic needs targets ±1, but those of this task are real numbers",
            where=f"{where}.learning.loss",
            remedy="use loss: mse",
        )
    fields = _plain(learning)
    if learning.scaling == "inverse_width":
        fields["learning_rate"] *= min(1.0, learning.full_rate_width / width)
    return LearningSpec(**fields)


def _plain(learning: Learning) -> dict[str, Any]:
    """The fields of the section that the spec has too."""
    return learning.model_dump(include=set(LearningSpec.model_fields))


def _snapshots(part: CurvePart, where: str) -> dict[str, Any]:
    """Steps at which parameters are kept, and of the network of how many samples."""
    learning, sizes = part.learning, part.samples.network
    if not learning.snapshots:
        return {}
    chosen = learning.snapshot_samples or max(sizes)
    if chosen not in sizes:
        raise ConfigError(
            f"no network is trained on {chosen} samples",
            where=f"{where}.learning.snapshot_samples",
            remedy=f"use one of samples.network: {', '.join(map(str, sizes))}",
        )
    budget = LearningSpec(**_plain(learning)).budget(chosen)
    if max(learning.snapshots) > budget:
        raise ConfigError(
            f"step {max(learning.snapshots)} is after the end of training, {budget} steps",
            where=f"{where}.learning.snapshots",
            remedy="use earlier steps, or raise learning.epochs or learning.steps_at_least",
        )
    return {"during": tuple(sorted(learning.snapshots)), "during_samples": chosen}


def _regression(part: CurvePart, facts: _Facts, where: str) -> dict[str, Any]:
    """What all regressions of a part have in common."""
    kernels = part.kernels
    if kernels.precision == "float32" and max(kernels.ridges) < FLOAT32_RIDGE:
        raise ConfigError(
            f"all ridges are below {FLOAT32_RIDGE:g}, the rounding of kernels in float32",
            where=f"{where}.kernels.ridges",
            remedy="give larger ones, or set kernels.precision: float64",
        )
    return {
        "test": part.samples.test,
        "criterion": kernels.criterion if facts.error == "zero_one" else "squared",
        "ridges": tuple(sorted(kernels.ridges)),
        "leave_one_out_most": kernels.leave_one_out_most,
        "offset": kernels.offset,
        "precision": kernels.precision,
    }


def _shared(
    part: CurvePart, task: ScalarTaskSpec, facts: _Facts, where: str
) -> tuple[RegressionSpec, ...]:
    """With kernels before training: the infinite one, and the initial one at each width."""
    common = {**_regression(part, facts, where), "task": task, "fits": ("own",)}
    network, kernels, sizes = part.network, part.kernels, tuple(sorted(part.samples.kernel))
    widths = network.width if kernels.initial is None else kernels.initial
    initial = [
        RegressionSpec(
            source="initial",
            model=_model(network, width, facts, where),
            ensemble=kernels.ensemble,
            sizes=sizes,
            **common,
        )
        for width in widths
    ]
    if not kernels.infinite:
        return tuple(initial)
    limit = network.model_copy(update={"parametrisation": "ntk", "initialisation": "pytorch"})
    infinite = RegressionSpec(
        source="infinite",
        model=_model(limit, 1, facts, where),
        sizes=tuple(sorted(part.samples.infinite or sizes)),
        **{**common, "offset": "ignore"},
    )
    return infinite, *initial


def _of_networks(
    part: CurvePart, networks: NetworksSpec, facts: _Facts, where: str
) -> Iterator[RegressionSpec]:
    """With kernels after and during training."""
    kernels = part.kernels
    common = {
        **_regression(part, facts, where),
        "task": networks.task,
        "networks": networks,
        "sizes": tuple(sorted(part.samples.trained or part.samples.kernel)),
        "fits": tuple(kernels.fits),
    }
    there = {
        "after": ("network is trained on {} samples", "samples.network", networks.sizes),
        "during": ("parameters are kept at step {}", "learning.snapshots", networks.during),
    }
    for key, (words, source, known) in there.items():
        absent = sorted({*getattr(kernels, key)} - {*known})
        if absent:
            raise ConfigError(
                f"no {words.format(absent[0])}",
                where=f"{where}.kernels.{key}",
                remedy=f"use some of {source}: {', '.join(map(str, known)) or 'it is empty'}",
            )
    if kernels.after:
        trained_on = tuple(sorted(kernels.after))
        yield RegressionSpec(
            source="after", trained_on=trained_on, by_layer=kernels.by_layer, **common
        )
    if kernels.during:
        yield RegressionSpec(source="during", steps=tuple(sorted(kernels.during)), **common)
