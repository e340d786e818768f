"""Kernels larger than memory, tile by tile into a Zarr store.

`write_ntk` is the door for any torch module; the stage `kernels` uses the same tiles.
Imports `ntk.empirical`, `stores`, `runtime` and `identity`.
"""

from ntkscope.ntk.tiled.write import write_ntk

__all__ = ["write_ntk"]
