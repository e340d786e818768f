"""The store of kind `networks`: its arrays, and what is written as networks end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ntkscope.config.curve_specs import NetworksSpec
from ntkscope.stores import Array, ZarrStore
from ntkscope.stores.going_on import forget_damaged
from ntkscope.training.learning_curve.log import CurveLog
from ntkscope.training.learning_curve.members import Member
from ntkscope.training.state import Named

KIND = "networks"

_ABOUT: dict[str, tuple[str, str]] = {
    "error": ("test error of the kept parameters", "1"),
    "squared_error": ("mean squared test error of the kept parameters", "1"),
    "train_error": ("error on up to 2000 training samples", "1"),
    "train_loss": ("mean loss on up to 2000 training samples", "1"),
    "validation_error": ("validation error of the kept parameters", "1"),
    "best_step": ("step of the kept parameters; −1: diverged", "step"),
    "last_step": ("step at which learning ended", "step"),
    "diverged": ("whether a number was no longer finite", "1"),
    "log_step": ("steps at which errors were looked at; −1: after the end", "step"),
    "log_validation_error": ("validation error", "1"),
    "log_validation_loss": ("validation loss", "1"),
    "log_train_error": ("error on up to 500 training samples (to convergence: on all)", "1"),
    "during_error": ("test error during training", "1"),
    "during_squared_error": ("mean squared test error during training", "1"),
    "during_diverged": ("whether a number was not finite", "1"),
}


def allocate_networks(
    spec: NetworksSpec, initial: Named, log: CurveLog, path: Path, attrs: dict[str, Any]
) -> ZarrStore:
    """The store of a spec's networks, with their initial parameters, name → [S, …].

    Of others it is empty, or as a killed job left it.
    """
    seeds, sizes = len(spec.task.seeds), len(spec.sizes)
    arrays = _of_parameters("initial", ("seed",), (seeds,), initial)
    arrays |= _of_parameters("best", ("seed", "size"), (seeds, sizes), initial)
    if spec.during:
        during = (seeds, len(spec.during))
        arrays |= _of_parameters("during", ("seed", "snapshot"), during, initial)
    dims, shape = ("seed", "size", "test"), (seeds, sizes, spec.test)
    about = {"long_name": "outputs of the kept parameters on the test set", "units": "1"}
    arrays["prediction"] = Array(dims, shape, "f4", (1, 1, spec.test), about)
    about = {"long_name": "most steps", "units": "step"}
    arrays["budget"] = Array(dims[:2], (seeds, sizes), "i8", attrs=about)
    for name, (long_name, unit) in _ABOUT.items():
        if name in log.arrays:
            values = log.arrays[name]
            about = {"long_name": long_name, "units": unit}
            arrays[name] = Array(_dims(name), values.shape, values.dtype, attrs=about)
    coords = {
        "seed": (("seed",), np.array(spec.task.seeds, dtype=np.int64)),
        "size": (("size",), np.array(spec.sizes, dtype=np.int64)),
        "step": (("snapshot",), np.array(spec.during, dtype=np.int64)),
    }
    store = ZarrStore.allocate(
        path, KIND, arrays, coords=coords, mask=("seed",), attrs=attrs, going_on=True
    )
    for name, tensor in initial.items():
        store.write(f"initial/{name}", ..., tensor.cpu().numpy())
    return store


def is_whole(store: ZarrStore, log: CurveLog) -> bool:
    """Whether all that a log knows to be written is there, and sound; what is not, is removed."""
    written = {"best": log.arrays["_over"], "prediction": log.arrays["_over"]}
    if "during_error" in log.arrays:
        known = ~np.isnan(log.arrays["during_error"])
        written["during"] = known | log.arrays["during_diverged"]
    for name, place in forget_damaged(store):
        there = written.get(name.partition("/")[0])
        if there is not None and there[place[0].start, place[1].start]:
            return False
    return True


def write_best(store: ZarrStore, member: Member, parameters: Named, prediction: Tensor) -> None:
    """The parameters that are kept of a network, and its outputs on the test set."""
    for name, tensor in parameters.items():
        store.write(f"best/{name}", member.place, tensor.cpu().numpy())
    store.write("prediction", member.place, prediction.float().cpu().numpy())


def write_snapshot(store: ZarrStore, member: Member, snapshot: int, parameters: Named) -> None:
    """The parameters of a network during training."""
    for name, tensor in parameters.items():
        store.write(f"during/{name}", (member.place[0], snapshot), tensor.cpu().numpy())


def write_undefined(store: ZarrStore, place: tuple[int, ...], group: str) -> None:
    """NaN where a network that diverged would have its parameters, and kept ones their outputs."""
    for name in store.names(group):
        store.undefined(f"{group}/{name}", place)
    if group == "best":
        store.undefined("prediction", place)


def write_log(store: ZarrStore, log: CurveLog, members: Sequence[Member]) -> None:
    """All that is known at the end; the store is complete then."""
    for name in _ABOUT:
        if name in log.arrays:
            store.write(name, ..., log.arrays[name])
    budget = np.empty_like(log.arrays["best_step"])
    for member in members:
        budget[member.place] = member.budget
    store.write("budget", ..., budget)
    store.done(...)


def _of_parameters(
    group: str, dims: tuple[str, ...], shape: tuple[int, ...], parameters: Named
) -> dict[str, Array]:
    """An array for each parameter, a chunk for each network."""
    found = {}
    for name, tensor in parameters.items():
        own = tuple(tensor.shape[1:])
        named = (*dims, *(f"{name}_{axis}" for axis in range(len(own))))
        chunks = (*(1 for _ in dims), *own)
        dtype = str(tensor.dtype).removeprefix("torch.")
        found[f"{group}/{name}"] = Array(named, (*shape, *own), dtype, chunks)
    return found


def _dims(name: str) -> tuple[str, ...]:
    if name.startswith("during_"):
        return ("seed", "snapshot")
    return ("seed", "size", "evaluation") if name.startswith("log_") else ("seed", "size")
