"""From files of samples to one store a data set, and from that store to arrays, probes and tasks.

May import the instrument and the ground. Nothing here imports torch when it is imported: a source
that needs torchvision imports it when it is opened. The sources are light, as reading a
configuration looks them up.
"""

from typing import TYPE_CHECKING, Any

from ntkscope.runtime.imports import need_extra

need_extra("workflow", __name__, "pydantic")

if TYPE_CHECKING:
    from ntkscope.data.images import LoadedSamples, OpenSamples, load_samples, open_samples
    from ntkscope.data.prepare import prepare_data
    from ntkscope.data.probe import Probe, choose_probe
    from ntkscope.data.tasks.store import LoadedTask, load_task
    from ntkscope.data.tasks.write import prepare_task

__all__ = [
    "LoadedSamples",
    "LoadedTask",
    "OpenSamples",
    "Probe",
    "choose_probe",
    "load_samples",
    "load_task",
    "open_samples",
    "prepare_data",
    "prepare_task",
]

_HOMES = {
    "LoadedSamples": "images",
    "LoadedTask": "tasks.store",
    "OpenSamples": "images",
    "Probe": "probe",
    "choose_probe": "probe",
    "load_samples": "images",
    "load_task": "tasks.store",
    "open_samples": "images",
    "prepare_data": "prepare",
    "prepare_task": "tasks.write",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
