"""NetCDF-4 tables of metrics and fits: written beside their place, then moved there at once."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ntkscope.errors import StoreError
from ntkscope.stores.atomic_write import atomic
from ntkscope.stores.zarr_store import REMAKE, check_kind, no_such

if TYPE_CHECKING:
    import xarray as xr


def write_netcdf(data: xr.Dataset, path: str | Path, kind: str, record: dict[str, Any]) -> None:
    """Write a dataset with its provenance; each variable is checksummed (HDF5 Fletcher-32).

    Args:
        data: dims named, variables with units and long names.
        path: the file; it appears only when whole.
        kind: what it holds; checked when it is read.
        record: provenance, kept as JSON in the attribute `provenance`.
    """
    data = data.assign_attrs(kind=kind, provenance=json.dumps(record))
    checked = {
        name: {"fletcher32": True}
        for name, variable in data.variables.items()
        if variable.ndim and variable.dtype.kind in "fiu" and variable.size
    }
    whole = BytesIO()  # HDF5 itself does not survive a disk that is full
    data.to_netcdf(whole, engine="h5netcdf", encoding=checked)
    with atomic(path) as partial:
        partial.write_bytes(whole.getbuffer())


def read_netcdf(path: str | Path, kind: str, *others: str) -> xr.Dataset:
    """Read a whole table into memory.

    Args:
        path: the file.
        kind: what it must hold; others: or may hold instead.

    Raises:
        StoreError: no such file, unreadable, damaged, or of another kind.
    """
    import xarray as xr  # 0.4 s, not needed by jobs that train

    path = Path(path)
    if not path.exists():
        raise no_such(path, "table")
    try:
        with xr.open_dataset(path, engine="h5netcdf") as data:
            loaded = data.load()
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(f"the table cannot be read: {error}", where=path, remedy=REMAKE) from None
    found = loaded.attrs.get("kind")
    check_kind(path, "table", found, found if found in others else kind)
    return loaded
