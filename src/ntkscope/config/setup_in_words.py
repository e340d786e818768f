"""What an experiment trains, on what and how, in a caption's words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ntkscope.config.datasets import title_of
from ntkscope.config.sections import Dataset
from ntkscope.config.specs import ModelSpec, RunSpec

NETWORKS = {"mlp": "MLP", "cnn": "CNN", "cnn5": "5-layer CNN"} | {
    f"myrtle{depth}": f"Myrtle-{depth}" for depth in (5, 7, 10)
}
"""Kind of a network → its name as printed."""

_OPTIMISERS = {"sgd": "SGD", "adam": "Adam"}
_LOSSES = {"cross_entropy": "cross-entropy", "mse": "squared error"}


def setup_in_words(runs: Sequence[RunSpec], datasets: Mapping[str, Dataset]) -> str:
    """Data, network and training of an experiment's runs, as one sentence.

    Args:
        runs: of all points of its sweep.
        datasets: `DatasetSpec.id` → its section, whose title is told.
    """
    optimisers = [run.optimizer for run in runs]
    momentum = {each.momentum for each in optimisers} - {0.0}
    decay = {each.weight_decay for each in optimisers} - {0.0}
    schedules = {each.schedule for each in optimisers} - {"constant"}
    methods = {run.method.kind for run in runs} - {"plain"}
    words = [
        f"Data: {_listed(title_of(datasets[run.dataset.id]) for run in runs)}",
        f"network: {_listed(_network(run.model) for run in runs)}, "
        f"width {numbers_in_words(run.model.width for run in runs)}",
        f"{_listed(_OPTIMISERS.get(each.kind, each.kind) for each in optimisers)}, learning rate "
        f"{numbers_in_words(each.learning_rate for each in optimisers)}"
        + "".join(
            f", {name} {numbers_in_words(values)}"
            for name, values in (("momentum", momentum), ("weight decay", decay))
            if values
        )
        + "".join(f", {each} schedule" for each in sorted(schedules)),
        f"{_listed(_LOSSES.get(run.loss, run.loss) for run in runs)} loss",
        f"batches of {numbers_in_words(run.batch_size for run in runs)}",
        *(f"method {each}" for each in sorted(methods)),
        f"{numbers_in_words(task.steps for run in runs for task in run.tasks)} steps a task",
    ]
    return "; ".join(words) + "."


def _network(model: ModelSpec) -> str:
    if model.kind == "module":
        return f"``{model.function}``"
    layers = {"mlp": "hidden layers", "cnn": "blocks"}.get(model.kind)
    name = NETWORKS.get(model.kind, model.kind)
    return f"{name} of {model.depth} {layers}" if layers else name


def _listed(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))


def numbers_in_words(values: Iterable[float]) -> str:
    """Each number once, ascending; of more than four the least and the most."""
    numbers = sorted(set(values))
    if len(numbers) > 4:
        return f"{numbers[0]:g} to {numbers[-1]:g}"
    return ", ".join(f"{number:g}" for number in numbers)
