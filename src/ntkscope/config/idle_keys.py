"""Keys that were written and cannot have their effect: refused, for something was meant by them.

A section may be shared by variants or parts: a key of it is idle where it is idle in all of them.
Of values that are their key's default nothing is said, written or not.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from ntkscope.config.curves import parts_of
from ntkscope.config.diagnostics.documents import Key
from ntkscope.config.diagnostics.mistakes import Mistake
from ntkscope.config.networks import LAYERS
from ntkscope.config.sections import Config, Experiment, Section
from ntkscope.config.sections.learning_curves import CurvePart
from ntkscope.config.variants import by_variant

_Idle: TypeAlias = Iterator[tuple[str, str, bool, str, str]]
"""Section, key, whether its value has no effect, why, and what to do beside removing it."""

_STREAM_SECTIONS = ("stream", "training", "snapshots", "fits")
_CURVE_SECTIONS = ("network", "learning", "samples", "kernels")
_TASKS = "give the stream more tasks"


@dataclass(frozen=True)
class _Use:
    """Sections that are used together, where each is written, and which of their keys are idle."""

    sections: dict[str, Section]
    places: dict[str, Key]
    idle: _Idle


def idle_keys(config: Config) -> list[Mistake]:
    """The keys of a sound configuration whose value can have no effect."""
    users: dict[Key, int] = defaultdict(int)
    found: dict[Key, list[Mistake]] = defaultdict(list)
    for use in (*_of_streams(config), *_of_curves(config)):
        for place in use.places.values():
            users[place] += 1
        for section, key, is_idle, why, else_do in use.idle:
            if is_idle and _is_meant(use.sections[section], key):
                place = (*use.places[section], key)
                remedy = f"remove {key}, or {else_do}"
                found[place].append(
                    Mistake(place, f"it cannot have its effect: {why}", remedy=remedy)
                )
    return [each[0] for key, each in found.items() if len(each) == users[key[:-1]]]


def _is_meant(section: Section, key: str) -> bool:
    """Whether a value was written that is not the default."""
    if key not in section.model_fields_set:
        return False
    default = type(section).model_fields[key].get_default(call_default_factory=True)
    return bool(getattr(section, key) != default)


def _of_streams(config: Config) -> Iterator[_Use]:
    for name, experiment in config.experiments.items():
        above: Key = ("experiments", name)
        for variant, own in by_variant(config, name):
            written = experiment.variants[variant].model_fields_set if variant else set[str]()
            merged = own.experiments[name]
            places = {
                part: (*above, "variants", str(variant), part)
                if part in written
                else (*above, part)
                for part in _STREAM_SECTIONS
            }
            sections: dict[str, Section] = {
                part: getattr(merged, part) for part in _STREAM_SECTIONS
            }
            yield _Use(sections, places, _idle_of_stream(merged))


def _idle_of_stream(experiment: Experiment) -> _Idle:
    training, stream = experiment.training, experiment.stream
    one = max(getattr(stream, "tasks", [1 if stream.kind == "single" else 2])) == 1
    plain, around = {*training.method} == {"plain"}, experiment.snapshots.around_boundary
    longest, no_boundary = max(stream.steps), "the stream has one task, and no boundary"
    yield "stream", "change", one, "the stream has one task", _TASKS
    yield "training", "method", one and not plain, "there is no task before another", _TASKS
    yield "training", "method_strength", plain, "method: plain adds nothing", "set a method"
    yield "snapshots", "around_boundary", one and around > 0, no_boundary, _TASKS
    yield (
        *("snapshots", "around_boundary", not one and around > longest),
        f"{around} steps before and after a boundary, where no task has more than {longest}",
        f"write {longest}, which keeps every step",
    )
    yield "fits", "window", one, no_boundary, _TASKS
    yield (
        *("fits", "window", not one and experiment.fits.window > longest + 1),  # step 0 is one more
        f"{experiment.fits.window} steps before and after a boundary, where no task has more than "
        f"{longest}",
        f"write at most {longest}",
    )


def _of_curves(config: Config) -> Iterator[_Use]:
    for name, curves in config.learning_curves.items():
        for key, _, part in parts_of(config, name):
            own = curves.parts[key].model_fields_set if curves.parts else set[str]()
            places: dict[str, Key] = {}
            for section in _CURVE_SECTIONS:
                above = name if section in curves.model_fields_set else curves.like or name
                inside: Key = (name, "parts", key) if section in own else (above,)
                places[section] = ("learning_curves", *inside, section)
            sections: dict[str, Section] = {each: getattr(part, each) for each in _CURVE_SECTIONS}
            idle = itertools.chain(_idle_of_learning(part), _idle_of_kernels(part))
            yield _Use(sections, places, idle)


def _idle_of_learning(part: CurvePart) -> _Idle:
    learning, most = part.learning, max(part.samples.network)
    batch = learning.batch_size or 0
    fixed, early = learning.scaling == "fixed", learning.stop == "early"
    narrow = not fixed and max(part.network.width) <= learning.full_rate_width
    yield (
        *("learning", "scaling", narrow),
        f"no width is above full_rate_width, {learning.full_rate_width}",
        "lower full_rate_width",
    )
    to_scale, to_stop = "set scaling: inverse_width", "set stop: early"
    yield "learning", "full_rate_width", fixed, "scaling is fixed", to_scale
    yield "learning", "patience", not early, "training goes on to convergence", to_stop
    yield "learning", "patience_from", not early, "training goes on to convergence", to_stop
    yield "learning", "converged_loss", early, "training stops early", "set stop: convergence"
    yield (
        *("learning", "snapshot_samples", not learning.snapshots),
        *("there are no snapshots", "give learning.snapshots"),
    )
    yield (
        *("learning", "batch_size", batch > most),
        f"{batch} samples a step, where there are {most} at most",
        "write null, for all of them",
    )


def _idle_of_kernels(part: CurvePart) -> _Idle:
    network, kernels = part.network, part.kernels
    trained, initial = bool(kernels.after or kernels.during), kernels.initial != []
    none_trained, to_train = "there are no kernels after or during training", "give kernels.after"
    unscaled = network.parametrisation == "standard" and not kernels.infinite
    why = "parametrisation is standard, and kernels.infinite false"
    for key in ("weight_std", "bias_std"):
        yield "network", key, unscaled, why, "set parametrisation: ntk"
    layers = LAYERS.get(network.kind)
    yield (
        "network",
        "depth",
        layers is not None,
        f"{network.kind} has {layers} layers",
        "set kind: mlp",
    )
    yield "samples", "trained", not trained, none_trained, to_train
    yield "kernels", "fits", not trained, none_trained, to_train
    yield (
        *("samples", "infinite", not kernels.infinite),
        *("kernels.infinite is false", "set it to true"),
    )
    no_after = kernels.by_layer and not kernels.after
    yield "kernels", "by_layer", no_after, "there are no kernels after training", to_train
    alone = not initial and kernels.ensemble > 1
    yield "kernels", "ensemble", alone, "there are no initial kernels", "give kernels.initial"
