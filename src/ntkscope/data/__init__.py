"""From files of images to one store a dataset, and from that store to arrays and probes.

Nothing here imports torch when it is imported: a source that needs torchvision imports it when
it is opened.
"""

from ntkscope.runtime.imports import need_extra

need_extra("workflow", __name__, "pydantic")

from ntkscope.data.images import LoadedImages, load_images
from ntkscope.data.prepare import prepare_data
from ntkscope.data.probe import Probe, choose_probe

__all__ = ["LoadedImages", "Probe", "choose_probe", "load_images", "prepare_data"]
