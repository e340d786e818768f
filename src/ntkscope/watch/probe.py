"""The inputs that a run is watched on, and their classes: checked before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ntkscope.errors import NtkscopeError
from ntkscope.identity import digest
from ntkscope.metrics.arrays import as_array
from ntkscope.ntk.tiled.fingerprint import inputs_digest

Inputs = Tensor | tuple[Tensor, ...] | dict[str, Tensor]

LEAST = 4
"""Samples, for the debiased metrics to exist."""


class WatchError(NtkscopeError, ValueError):
    """What a watch was given is not what it can watch."""


@dataclass(frozen=True)
class Probe:
    """The fixed samples of a watch.

    Attributes:
        inputs: as the model is called with them, samples on the first axis.
        labels: (sample,), int64; None for samples without classes.
        digest: 12 hex digits of both.
    """

    inputs: Inputs
    labels: NDArray[np.int64] | None
    digest: str

    def __len__(self) -> int:
        return len(next(iter(_parts(self.inputs).values())))

    def on(self, device: torch.device) -> Inputs:
        """The inputs on a device."""
        if isinstance(self.inputs, dict):
            return {name: tensor.to(device) for name, tensor in self.inputs.items()}
        if isinstance(self.inputs, tuple):
            return tuple(tensor.to(device) for tensor in self.inputs)
        return self.inputs.to(device)


def make_probe(inputs: Any, labels: Any) -> Probe:
    """A probe of what a user has.

    Args:
        inputs: [N, …], a tensor, an array, or a tuple or mapping of such.
        labels: (N,), a class each; (N, C), one-hot; or None.

    Raises:
        WatchError: no samples, too few, samples without values, or labels that are not theirs.
    """
    own = _as_inputs(inputs)
    lengths = {name: len(tensor) if tensor.ndim else 0 for name, tensor in _parts(own).items()}
    if len(set(lengths.values())) != 1 or min(lengths.values()) < LEAST:
        counts = ", ".join(f"{name}: {length}" for name, length in lengths.items()) or "nothing"
        raise WatchError(
            f"the probe has samples {counts}",
            where="probe",
            remedy=f"give at least {LEAST} samples, on the first axis, as many in each tensor",
        )
    for name, tensor in _parts(own).items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise WatchError(
                f"{name} has values that are not finite",
                where="probe",
                remedy="give samples without NaN and infinities: every metric would be NaN",
            )
    classes = None if labels is None else as_classes(labels, next(iter(lengths.values())))
    several = own if isinstance(own, dict) else dict(enumerate(_parts(own).values()))
    found = [f"{name}: {inputs_digest(tensor)}" for name, tensor in several.items()]
    known = None if classes is None else classes.tolist()
    return Probe(own, classes, digest({"inputs": found, "label": known}))


def as_classes(labels: Any, samples: int) -> NDArray[np.int64]:
    """Class of each sample, int64 (samples,), of class indices or one-hot targets.

    Raises:
        WatchError: another number of them, targets that are no classes, or all of one class.
    """
    values = as_array(labels)
    if values.ndim == 2 and values.shape[1] > 1 and _one_hot(values):
        values = values.argmax(axis=1)
    elif values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.shape != (samples,):
        raise WatchError(
            f"labels of shape {as_array(labels).shape} for a probe of {samples} samples",
            where="labels",
            remedy="give the class of each sample, (N,), or one-hot targets, (N, C)",
        )
    whole = values.dtype.kind in "iub" or (
        values.dtype.kind == "f" and bool(np.all(values == np.round(values)))
    )
    if values.dtype.kind in "US":
        values = np.unique(values, return_inverse=True)[1]
    elif not whole:
        raise WatchError(
            f"labels that are no classes: {values.dtype} such as {values[0]}",
            where="labels",
            remedy="leave labels out where targets are no classes: all but alignment is measured",
        )
    if len(np.unique(values)) == 1:
        raise WatchError(
            "the labels are all of one class, with which no kernel can be aligned",
            where="labels",
            remedy="choose a probe of several classes, or leave labels out",
        )
    return values.astype(np.int64)


def _one_hot(values: NDArray[Any]) -> bool:
    return bool(np.all((values == 0) | (values == 1)) and np.all(values.sum(axis=1) == 1))


def _as_inputs(inputs: Any) -> Inputs:
    """Tensors that no later change of the caller's reaches."""
    if isinstance(inputs, Mapping):
        return {str(name): _as_tensor(value) for name, value in inputs.items()}
    if isinstance(inputs, tuple | list):
        return tuple(_as_tensor(value) for value in inputs)
    return _as_tensor(inputs)


def _as_tensor(value: Any) -> Tensor:
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(value)
    if not isinstance(value, Tensor):
        raise WatchError(
            f"the probe has a {type(value).__name__}, no tensor",
            where="probe",
            remedy="give a tensor [N, …], or a tuple or mapping of such, as the model takes them",
        )
    return value.detach().clone()


def _parts(inputs: Inputs) -> dict[str, Tensor]:
    if isinstance(inputs, dict):
        return inputs
    several = inputs if isinstance(inputs, tuple) else (inputs,)
    return {f"input {number}": tensor for number, tensor in enumerate(several, 1)}
