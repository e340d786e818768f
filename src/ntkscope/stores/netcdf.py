"""NetCDF-4 tables of metrics and fits: written beside their place, then moved there at once.

A seal is at a table's end, where HDF5 does not look: any reader of NetCDF opens it.
"""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ntkscope.errors import StoreError, remake
from ntkscope.runtime.signals import Ending
from ntkscope.stores.atomic_write import atomic
from ntkscope.stores.seal import is_sealed, seal, unseal
from ntkscope.stores.zarr_store import check_kind, check_place, no_such

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
    with Ending() as ending:  # nor an exception in its midst: a Ctrl-C waits
        data.to_netcdf(whole, engine="h5netcdf", encoding=checked)
        with atomic(path) as partial:
            partial.write_bytes(seal(whole.getvalue()))
    ending.obey()


def read_netcdf(path: str | Path, kind: str, *others: str) -> xr.Dataset:
    """Read a whole table into memory.

    Args:
        path: the file.
        kind: what it must hold; others: or may hold instead.

    Raises:
        StoreError: no such file, unreadable, damaged, or of another kind.
    """
    loaded = read_any_netcdf(path := Path(path))
    found = loaded.attrs.get("kind")
    check_kind(path, "table", found, found if found in others else kind)
    return loaded


def read_any_netcdf(path: Path) -> xr.Dataset:
    """Read a table of any kind into memory.

    Raises:
        StoreError: no such file, unreadable, damaged, or in the folder of another run.
    """
    import xarray as xr  # 0.4 s, not needed by jobs that train

    if not path.exists():
        raise no_such(path, "table")
    try:
        content = path.read_bytes()
        if is_sealed(content) and unseal(content) is None:
            raise ValueError("it is damaged")
        with Ending() as ending, xr.open_dataset(path, engine="h5netcdf") as data:
            loaded: xr.Dataset = data.load()
        ending.obey()
        record = dict(json.loads(loaded.attrs.get("provenance", "{}")))
    except Exception as error:  # h5py and xarray raise anything of a file that is damaged
        raise StoreError(
            f"the table cannot be read: {error}", where=path, remedy=remake(path)
        ) from None
    check_place(path, "table", record)
    return loaded


def is_table_sealed(path: Path) -> bool:
    """Whether a table has a seal: those of older versions have none."""
    return is_sealed(path.read_bytes())
