"""From files of samples to one store a data set, and from that store to arrays, probes and tasks.

May import the instrument and the ground. Nothing here imports torch when it is imported: a source
that needs torchvision imports it when it is opened. The sources are light, as reading a
configuration looks them up.
"""

from typing import TYPE_CHECKING

from ntkscope.runtime.imports import lazy_names, need_extra

need_extra("workflow", __name__, "pydantic")

if TYPE_CHECKING:
    from ntkscope.data.images import OpenSamples, load_samples, open_samples
    from ntkscope.data.prepare import prepare_data
    from ntkscope.data.probe import choose_probe
    from ntkscope.data.tasks.store import LoadedTask, load_task
    from ntkscope.data.tasks.write import prepare_task
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "LoadedTask": "ntkscope.data.tasks.store",
            "OpenSamples": "ntkscope.data.images",
            "choose_probe": "ntkscope.data.probe",
            "load_samples": "ntkscope.data.images",
            "load_task": "ntkscope.data.tasks.store",
            "open_samples": "ntkscope.data.images",
            "prepare_data": "ntkscope.data.prepare",
            "prepare_task": "ntkscope.data.tasks.write",
        },
    )

__all__ = [
    "LoadedTask",
    "OpenSamples",
    "choose_probe",
    "load_samples",
    "load_task",
    "open_samples",
    "prepare_data",
    "prepare_task",
]
