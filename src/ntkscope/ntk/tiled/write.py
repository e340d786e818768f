"""`write_ntk`: the kernel of any torch module into a store, however large it is."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ntkscope.errors import ModelError, StoreError
from ntkscope.identity import sources_digest
from ntkscope.ntk.empirical.arguments import (
    check_choice,
    check_count,
    check_part,
    check_samples,
    refuse_no_samples,
)
from ntkscope.ntk.empirical.budget import parse_bytes
from ntkscope.ntk.empirical.entries import VERIFY
from ntkscope.ntk.empirical.face import Chosen, Output, in_any_form
from ntkscope.ntk.empirical.inputs import Samples, as_one
from ntkscope.ntk.empirical.outputs import failures_explained
from ntkscope.ntk.empirical.plan import Plan
from ntkscope.ntk.empirical.planner import make_plan
from ntkscope.ntk.empirical.precision import half_dtype
from ntkscope.ntk.empirical.state import own, preserve_state
from ntkscope.ntk.empirical.tuning import TUNING
from ntkscope.ntk.empirical.validation import check_model, refuse_nan_inputs
from ntkscope.ntk.kinds import KINDS, normalisation
from ntkscope.ntk.tiled.fingerprint import inputs_digest, model_digest
from ntkscope.ntk.tiled.grid import TileGrid
from ntkscope.ntk.tiled.store_layout import kernel_arrays
from ntkscope.ntk.tiled.tiled_kernel import Tiled, grid_of, is_sound, write_tiles
from ntkscope.runtime.device import float32_products
from ntkscope.runtime.logs import progress
from ntkscope.runtime.provenance import provenance
from ntkscope.stores import Array, ZarrStore
from ntkscope.stores.going_on import check_begun, forget_damaged_mask
from ntkscope.stores.manifest import read_journals


@in_any_form
def write_ntk(
    path: str | Path,
    model: nn.Module,
    x1: Samples,
    x2: Samples | None = None,
    *,
    kind: str = "trace",
    by_layer: bool = False,
    memory: int | str = "1GB",
    tile: int | None = None,
    part: tuple[int, int] = (0, 1),
    tf32: bool = False,
    verify: str = "entries",
    output: Output = None,
    parameters: Chosen = None,
) -> bool:
    """Write the exact NTK of a torch module into a Zarr store, tile by tile.

    Killed at any moment and called again with the same arguments it goes on, and ends with the
    same bytes. So do several calls with `part=(0, n)`, …, `(n − 1, n)`, at once or one after the
    other, in processes or jobs that see one file system: they write disjoint chunks. For several
    GPUs, a process each. The bytes depend on the kind of machine and the number of threads, as
    those of any product do, and on nothing else.

    Args:
        path: of the store: `ntk` (sample, sample2), or (sample, output, sample2, output2) of kind
            full, and `layer_ntk` (layer, …), the whole matrix; `stores.read_store(path, "kernels")`
            or `xarray.open_zarr` open it.
        model, x1, x2, kind, by_layer, output, parameters: as of `empirical_ntk`. The inputs are
            moved to the model.
        memory: budget for all that is computed, beside the inputs and the process as it is, in
            bytes or as text ("2GB").
        tile: samples on a tile's side, about; None: as large as is of use. Smaller tiles lose less
            to a kill and spread over more parts; each makes its samples' gradients again.
        part: (i, n): the i-th of n equal parts of the tiles, i from 0.
        tf32: whether a GPU may round the factors of float32 products to 10 bits.
        verify: as of `empirical_ntk`, of every tile; with tf32, nothing.

    Returns:
        Whether the store is complete now: all parts of it, not only this one.

    Raises:
        ModelError: as of `empirical_ntk`.
        StoreError: a store is there that was begun with another model, other inputs, settings or
            another version of the engine.

    Example:
        >>> import tempfile, torch, ntkscope
        >>> model, x = torch.nn.Linear(4, 2), torch.randn(6, 4)
        >>> path = f"{tempfile.mkdtemp()}/kernel.zarr"
        >>> ntkscope.write_ntk(path, model, x, tile=2, part=(0, 2))  # half of its tiles
        False
        >>> ntkscope.write_ntk(path, model, x, tile=2, part=(1, 2))  # the others: now it is whole
        True
        >>> ntkscope.read_store(path, "kernels").ntk.shape
        (6, 6)
    """
    x1, x2 = as_one(x1), None if x2 is None else as_one(x2)
    check_choice("kind", kind, KINDS)
    check_choice("verify", verify, VERIFY)
    check_part(part)
    check_count("tile", tile)
    check_samples(x1, x2)
    refuse_no_samples(x1, x2)
    path, budget = Path(path), parse_bytes(memory)
    budget -= min(budget // 2, TUNING.library_bytes)
    check_model(model)
    if half_dtype(model) is not None:
        raise ModelError(
            f"the model's parameters are {half_dtype(model)}",
            where="model",
            remedy="compute in float32 of the same weights: model.float(), with such inputs",
        )
    device = next(p for p in model.parameters() if p.requires_grad).device
    x1, x2 = x1.to(device), None if x2 is None else x2.to(device)
    with preserve_state(model), failures_explained(model, x1, x2), float32_products(tf32):
        x1, x2 = own(x1), None if x2 is None else own(x2)
        if verify != "off":
            refuse_nan_inputs(model, x1, x2)
        plan = make_plan(model, x1, x2, kind)
        owners = dict.fromkeys(layer.module_name for layer in plan.layers if layer.owns)
        names = list(owners) if by_layer else []
        samples = len(x1), len(x1 if x2 is None else x2)
        grid = grid_of(plan, kind, samples, x2 is None, len(names), budget, tile)
        settings = {"kind": kind, "by_layer": by_layer, "memory": budget, "tf32": tf32}
        of = _of(model, x1, x2) | settings | {"tile": grid.side}
        store = _begin(path, plan, grid, of, names)
        tiled = Tiled(model, x1, x2, kind, by_layer, plan, budget, grid, "off" if tf32 else verify)
        known = read_journals(path)
        forget_damaged_mask(store, known)
        mine, done = list(grid.tiles())[part[0] :: part[1]], store.mask
        todo = [
            place
            for place in mine
            if not (grid.is_done(place, done) and is_sound(tiled, store, place, known))
        ]
        for _ in progress(write_tiles(tiled, store, todo), len(todo), f"tiles of {path.name}"):
            pass
    complete = bool(store.mask.all())
    if complete:
        store.seal(shared=True)
    return complete


def _of(model: nn.Module, x1: Tensor, x2: Tensor | None) -> dict[str, Any]:
    """What the kernel is of: a store begun with anything else is refused."""
    return {
        "model": model_digest(model, x1, *(() if x2 is None else (x2,))),
        "x1": inputs_digest(x1),
        "x2": None if x2 is None else inputs_digest(x2),
        "device": x1.device.type,
        "engine": _engine(),
    }


@cache
def _engine() -> str:
    """Digest of the sources that these kernels come from: this module and all that it imports."""
    return sources_digest(Path(__file__).parents[2], __name__)


def _begin(
    path: Path, plan: Plan, grid: TileGrid, of: dict[str, Any], layers: list[str]
) -> ZarrStore:
    """The store, allocated where it is not there; `plan` becomes the one it was begun with."""
    if not path.exists():
        _allocate(path, plan, grid, of, layers)
    store = ZarrStore.resume(path, "kernels")
    check_begun(store, read_journals(path))
    found: dict[str, Any] = dict(store.group.attrs)
    differ = [key for key, value in of.items() if found.get("kernel_of", {}).get(key) != value]
    if differ:
        raise StoreError(
            f"this store was begun with another {', '.join(differ)}",
            where=path,
            remedy="give what it was begun with, or another path",
        )
    for layer in plan.layers:
        layer.strategy = found["strategies"][layer.name]
    return store


def _allocate(
    path: Path, plan: Plan, grid: TileGrid, of: dict[str, Any], layers: list[str]
) -> None:
    outputs, kind = plan.output_vectors.shape[1], of["kind"]
    dtype = torch.empty(0, dtype=plan.output_vectors.dtype).numpy().dtype
    samples = grid.rows, grid.columns
    chunk = min(grid.chunk, grid.rows), min(grid.chunk, grid.columns)
    path.parent.mkdir(parents=True, exist_ok=True)
    ZarrStore.allocate(
        path,
        "kernels",
        kernel_arrays(kind, (), samples, chunk, outputs, len(layers), dtype),
        coords={"layer": (("layer",), layers)} if layers else {},
        mask=Array(("tile", "tile2"), grid.shape, np.dtype(bool), (1, 1)),
        shared=True,
        attrs={
            "kernel": kind,
            "normalisation": normalisation(kind),
            "precision": str(dtype),
            "kernel_of": of,
            "strategies": {layer.name: layer.strategy for layer in plan.layers},
            "provenance": provenance(device=of["device"], threads=torch.get_num_threads()),
        },
    )
