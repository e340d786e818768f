"""Variants: an experiment in parts, each a configuration of its own with other sections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ntkscope.config.sections import Config, Dataset, Variant
from ntkscope.config.sections.learning_curves import LearningCurves, ScalarTask
from ntkscope.config.tasks import TASKS

COSMETIC = ("root", "download")  # of a dataset: where its files are, not which


def by_variant(config: Config, name: str) -> Iterator[tuple[str | None, Config]]:
    """The configuration of each variant of an experiment, by its name; None where there are none.

    Args:
        config: the whole.
        name: of an experiment.

    Yields:
        The variant's name, and the configuration with the variant's sections in place.
    """
    experiment = config.experiments[name]
    if not experiment.variants:
        yield None, config
    for key, variant in experiment.variants.items():
        sections = {part: getattr(variant, part) for part in variant.model_fields_set}
        sections.pop("dataset", None)
        sections.pop("role", None)
        own = experiment.model_copy(update={**sections, "variants": {}})
        update = {"dataset": dataset_of(config, variant), "experiments": {name: own}}
        yield key, config.model_copy(update=update)


def dataset_of(config: Config, variant: Variant) -> Dataset:
    """A variant's dataset; its files are where the configuration says unless it says otherwise."""
    if "dataset" not in variant.model_fields_set:
        return config.dataset
    own = variant.dataset
    where = {key: getattr(config.dataset, key) for key in COSMETIC}
    return own.model_copy(
        update={key: value for key, value in where.items() if key not in own.model_fields_set}
    )


def without_absent(config: Config, is_there: Callable[[Dataset], bool]) -> tuple[Config, list[str]]:
    """The configuration without the variants that may be left out and whose dataset is absent.

    Args:
        config: the whole.
        is_there: whether the files of a dataset are on this machine.

    Returns:
        The configuration, and the variants left out as `experiment.variant (dataset)`.
    """
    experiments, left_out = {}, []
    for name, experiment in config.experiments.items():
        kept = dict(experiment.variants)
        for key, variant in experiment.variants.items():
            dataset = dataset_of(config, variant)
            if experiment.absent == "leave_out" and not is_there(dataset):
                del kept[key]
                left_out.append(f"{name}.{key} ({dataset.known_as})")
        experiments[name] = experiment.model_copy(update={"variants": kept})
    curves, left = _curves_without_absent(config, is_there)
    left_out += left
    there = {
        name: each
        for name, each in experiments.items()
        if each.variants or not config.experiments[name].variants
    }
    update = {"experiments": there, "learning_curves": curves}
    return config.model_copy(update=update), left_out


def _curves_without_absent(
    config: Config, is_there: Callable[[Dataset], bool]
) -> tuple[dict[str, LearningCurves], list[str]]:
    """The learning curves without the parts that may be left out, and what was left out.

    An experiment without parts is one part. What is like one that is left out gets its sections.
    """
    kept, left_out = {}, []
    for name, curves in config.learning_curves.items():
        common: ScalarTask = curve_sections(config, name)["task"]
        tasks = {
            key: part.task if "task" in part.model_fields_set else common
            for key, part in curves.parts.items()
        } or {"": common}
        absent = {
            key: dataset.known_as
            for key, task in tasks.items()
            if curves.absent == "leave_out"
            and (dataset := task_dataset(config, task)) is not None
            and not is_there(dataset)
        }
        left_out += [f"{name}.{key}".rstrip(".") + f" ({known})" for key, known in absent.items()]
        if len(absent) < len(tasks):
            parts = {key: part for key, part in curves.parts.items() if key not in absent}
            kept[name] = curves.model_copy(update={"parts": parts})
    for name, curves in kept.items():
        if curves.like and curves.like not in kept:
            update = curve_sections(config, name) | {"like": None}
            kept[name] = curves.model_copy(update=update)
    return kept, left_out


def curve_sections(config: Config, name: str) -> dict[str, Any]:
    """Task, network, learning, samples and kernels of learning curves: their own, or `like`'s."""
    experiment = config.learning_curves[name]
    model = config.learning_curves[experiment.like] if experiment.like else experiment
    own = experiment.model_fields_set
    return {
        key: getattr(experiment if key in own else model, key)
        for key in ("task", "network", "learning", "samples", "kernels")
    }


def task_dataset(config: Config, task: ScalarTask) -> Dataset | None:
    """The data set that a task is made of; its files are where the configuration says."""
    made_of = TASKS[task.name].dataset
    if task.dataset is None and made_of is None:
        return None
    dataset = task.dataset or Dataset(name=made_of or "")
    own = dataset.model_fields_set
    places = {key: getattr(config.dataset, key) for key in COSMETIC if key not in own}
    return dataset.model_copy(update=places)
