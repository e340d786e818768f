"""Networks: what a model section means at one point of a sweep, as a `ModelSpec`."""

from __future__ import annotations

from ntkscope.config.datasets import facts_of
from ntkscope.config.sections import Dataset
from ntkscope.config.specs import ModelSpec
from ntkscope.config.streams import Point
from ntkscope.config.user_code import function_digest
from ntkscope.errors import ConfigError

ARGUMENT = "arguments."
"""Before the name of an argument of a user's own network, in a point of the sweep."""

LAYERS = {"cnn5": 5, "myrtle5": 5, "myrtle7": 7, "myrtle10": 10}
"""Layers with parameters of the kinds that have no depth to be chosen."""


def model_spec(dataset: Dataset, regime: Point, model: Point, where: str) -> ModelSpec:
    """The network at one point of a sweep.

    Args:
        dataset: whose samples it is given.
        regime, model: the sections at this point.
        where: key of the experiment, for errors.

    Raises:
        ConfigError: it cannot be given such samples, or is no network that can be built.
    """
    kind = model["kind"]
    if kind == "module":
        return _of_module(regime, model, where)
    _check_samples(dataset, kind, model, where)
    ntk = regime["parametrisation"] == "ntk"
    return ModelSpec(
        kind=kind,
        depth=model.get("depth", LAYERS.get(kind)),
        width=model["width"],
        activation=model["activation"],
        bias=model["bias"],
        parametrisation=regime["parametrisation"],
        weight_std=regime["weight_std"] if ntk else None,
        bias_std=regime["bias_std"] if ntk else None,
    )


def _of_module(regime: Point, model: Point, where: str) -> ModelSpec:
    """A user's own network, by the function that builds it."""
    place = f"{where}.model.function"
    for key, value in (("parametrisation", "ntk"), ("scaling", "inverse_width")):
        if regime[key] == value and (key, f"{ARGUMENT}width" in model) != ("scaling", True):
            raise ConfigError(
                f"the regime {regime['_axes']['regime']} has {key}: {value}, which a network of "
                "kind: module does not know",
                where=f"{where}.regimes",
                remedy="use parametrisation: standard and scaling: fixed (an argument called "
                "width lets the rate follow it)",
            )
    return ModelSpec(
        kind="module",
        depth=size_of(model, "depth", where),
        width=size_of(model, "width", where),
        function=model["function"],
        arguments={
            key.removeprefix(ARGUMENT): value
            for key, value in model.items()
            if key.startswith(ARGUMENT)
        },
        source_digest=function_digest(model["function"], place),
    )


def _check_samples(dataset: Dataset, kind: str, model: Point, where: str) -> None:
    """Refuse a network that cannot be given the samples of a dataset."""
    facts, place = facts_of(dataset), f"{where}.model ({say_point(model)})"
    if facts.dtype == "int64" or (kind != "mlp" and len(facts.shape) != 3):
        what = "tokens" if facts.dtype == "int64" else "vectors"
        others = "" if facts.dtype == "int64" else "an mlp or "
        raise ConfigError(
            f"{kind} cannot be given {what}, which the samples of {dataset.known_as} are",
            where=place,
            remedy=f"use {others}a network of kind: module",
        )
    poolings = poolings_of(kind, model.get("depth", 0))
    side = min(facts.shape[:2])
    if side < 2**poolings:
        raise ConfigError(
            f"{kind} halves the image {poolings} times, but {dataset.known_as}'s images "
            f"are {side} pixels wide",
            where=place,
            remedy="use a shallower network, an mlp, or a dataset of larger images",
        )


def poolings_of(kind: str, depth: int) -> int:
    """How often a network halves its images before the global average."""
    return {"mlp": 0, "cnn": depth, "cnn5": 2}.get(kind, 3)


def size_of(model: Point, name: str, where: str) -> int:
    """Width or depth; of a user's own network its argument of that name, or 1."""
    size = model.get(name, model.get(f"{ARGUMENT}{name}", 1))
    if type(size) is not int or size < 1:
        raise ConfigError(
            f"the argument {name} = {size!r} is no size",
            where=f"{where}.model.arguments.{name}",
            remedy="give a whole number ≥ 1, or call the argument by another name",
        )
    return size


def say_point(point: Point) -> str:
    """A point of a sweep as `key=value, …`, for errors."""
    return ", ".join(f"{key}={value}" for key, value in point.items() if not key.startswith("_"))
