"""What one value means beside another: checks across sections, before any run is expanded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from ntkscope.config.datasets import PUBLISHED, facts_of, own_and_absent
from ntkscope.config.diagnostics.documents import Key
from ntkscope.config.diagnostics.mistakes import Mistake
from ntkscope.config.roles import role_mistakes
from ntkscope.config.sections import Config, Dataset
from ntkscope.config.sections.learning_curves import CurvePart
from ntkscope.config.sections.texts import visible
from ntkscope.errors import DataError
from ntkscope.runtime.nearest import did_you_mean


def mistakes_across(config: Config) -> list[Mistake]:
    """The mistakes of a configuration each of whose values is allowed by itself."""
    datasets = [mistake for each in _datasets(config) for mistake in _dataset(*each)]
    return [
        *_names(config),
        *datasets,
        *_regimes(config),
        *_experiments(config),
        *role_mistakes(config),
    ]


def _names(config: Config) -> Iterator[Mistake]:
    """No experiment at all, or two whose figures would have one name."""
    if not config.experiments and not config.learning_curves:
        yield Mistake(
            ("experiments",),
            "there is no experiment",
            remedy="add one under experiments or learning_curves",
        )
    for name in config.learning_curves:
        if name in config.experiments:
            yield Mistake(
                ("learning_curves", name),
                f"there is an experiment {name!r} already, whose figure has this name",
                remedy="give one of the two another name",
            )
    for section, names in (
        ("experiments", config.experiments),
        ("learning_curves", config.learning_curves),
    ):
        for name in names:
            if name.removesuffix("_mechanism") in config.experiments and name.endswith(
                "_mechanism"
            ):
                yield Mistake(
                    (section, name),
                    f"{name!r} is also the name of the second figure of the experiment "
                    f"{name.removesuffix('_mechanism')!r}",
                    remedy="give one of the two another name",
                )
    for name, curves in config.learning_curves.items():
        others = [n for n, each in config.learning_curves.items() if n != name and not each.like]
        if curves.like is not None and curves.like not in others:
            yield Mistake(
                ("learning_curves", name, "like"),
                f"there are no learning curves {curves.like!r} that are not like others themselves",
                allowed=", ".join(others) or "null",
            )


def _datasets(config: Config) -> Iterator[tuple[Key, Dataset]]:
    """Every dataset section, with its key, but those that are to be left out."""
    yield ("dataset",), config.dataset
    for name, experiment in config.experiments.items():
        for key, variant in experiment.variants.items():
            left_out = experiment.absent == "leave_out" and own_and_absent(variant.dataset)
            if "dataset" in variant.model_fields_set and not left_out:
                yield ("experiments", name, "variants", key, "dataset"), variant.dataset
    for name, curves in config.learning_curves.items():
        parts: dict[Key, CurvePart] = {(): curves}
        parts.update({("parts", key): part for key, part in curves.parts.items()})
        for place, part in parts.items():
            dataset = part.task.dataset
            if dataset is None or (curves.absent == "leave_out" and own_and_absent(dataset)):
                continue
            yield ("learning_curves", name, *place, "task", "dataset"), dataset


def _dataset(section: Key, dataset: Dataset) -> list[Mistake]:
    if (dataset.path is None) != (dataset.kind == PUBLISHED):
        return [_path(section, dataset)]
    try:
        facts = facts_of(dataset)
    except DataError as error:
        text = f"{error.what} ({error.where})"
        return [Mistake((*section, "path"), text, remedy=error.remedy)]
    return [*_sizes(section, dataset, facts.classes), *_places(section, dataset)]


def _path(section: Key, dataset: Dataset) -> Mistake:
    if dataset.path is None:
        return Mistake(
            (*section, "kind"),
            f"kind: {dataset.kind} needs a path",
            remedy="set path to your file or folder",
        )
    return Mistake(
        (*section, "path"),
        f"{dataset.path!r} is a path, but kind is {PUBLISHED}",
        remedy="set kind: npz or kind: folder, or remove path",
    )


def _sizes(section: Key, dataset: Dataset, classes: int) -> Iterator[Mistake]:
    if dataset.class_list is not None and dataset.name != "imagenet100":
        yield Mistake(
            (*section, "class_list"),
            f"{dataset.class_list!r} is a list of classes of imagenet100, "
            f"and dataset.name is {dataset.name}",
            remedy="remove class_list, or set dataset.name: imagenet100",
        )
    for key in ("train_samples", "test_samples"):
        samples = getattr(dataset, key)
        if samples is not None and samples < classes:
            yield Mistake(
                (*section, key),
                f"{samples} samples cannot hold one of each of the {classes} classes "
                f"of {dataset.known_as}",
                allowed=f"a whole number ≥ {classes}, or null",
            )


def _places(section: Key, dataset: Dataset) -> Iterator[Mistake]:
    if dataset.root is not None and not dataset.download and not _there(dataset.root, Path.is_dir):
        yield Mistake(
            (*section, "root"),
            f"there is no folder {dataset.root!r} (seen from {Path.cwd()})",
            remedy="name the folder that holds the dataset's files, or set download: true",
        )
    listed = dataset.class_list if dataset.name == "imagenet100" else None
    if listed is not None and not _there(listed, Path.is_file):
        yield Mistake(
            (*section, "class_list"),
            f"there is no file {listed!r} (seen from {Path.cwd()})",
            remedy="name a text file of 100 class folder names, one per line",
        )


def _there(path: str, is_kind: Callable[[Path], bool]) -> bool:
    found = Path(path).expanduser()
    return visible(found) and is_kind(found)


def _regimes(config: Config) -> Iterator[Mistake]:
    for name, regime in config.regimes.items():
        for key in ("weight_std", "bias_std"):
            if regime.parametrisation == "standard" and key in regime.model_fields_set:
                yield Mistake(
                    ("regimes", name, key),
                    f"{getattr(regime, key)} has no meaning for parametrisation: standard, "
                    "which starts as PyTorch does",
                    remedy=f"remove {key}, or set parametrisation: ntk",
                )


def _experiments(config: Config) -> Iterator[Mistake]:
    if config.experiments and not config.regimes:
        yield Mistake(
            ("regimes",), "it is empty, but experiments name some", allowed="at least one"
        )
        return
    for name, experiment in config.experiments.items():
        yield from _named(config, ("experiments", name), experiment.regimes)
        for key, variant in experiment.variants.items():
            yield from _named(config, ("experiments", name, "variants", key), variant.regimes)


def _named(config: Config, section: Key, regimes: list[str]) -> Iterator[Mistake]:
    """The regimes that a section names and the configuration lacks."""
    for position, regime in enumerate(regimes):
        if regime not in config.regimes:
            yield Mistake(
                (*section, "regimes", position),
                f"there is no regime {regime!r}{did_you_mean(regime, config.regimes)}",
                allowed=", ".join(config.regimes),
                remedy=f"name one of these, or add a section regimes.{regime}",
            )
