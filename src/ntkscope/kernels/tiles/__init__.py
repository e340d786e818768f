"""Kernels larger than memory, tile by tile into a Zarr store.

`write_ntk` is the door for any torch module; the stage uses the same tiles for large probes.
"""

from ntkscope.kernels.tiles.write import write_ntk

__all__ = ["write_ntk"]
