"""Files between stages: Zarr stores and NetCDF tables that say when they are damaged or incomplete.

Every Zarr store has a CRC32C on each chunk, dimension names, provenance, a completion mask, and
when it is finished a manifest of all its files, with which everything that is read is compared; and
it is opened by xarray. Jobs write into a `JobDirectory` outside their declared output and move the
finished store there, so that a killed job can go on where it was: from what of it is sound.
`python -m ntkscope.stores.verify` looks at all results.
Imports `runtime`, `identity` and `errors`.
"""

from ntkscope.stores.atomic_write import atomic, remove_partial_files
from ntkscope.stores.job_directory import JobDirectory
from ntkscope.stores.netcdf import read_netcdf, write_netcdf
from ntkscope.stores.text import write_text
from ntkscope.stores.zarr_store import Array, ZarrStore, read_store

__all__ = [
    "Array",
    "JobDirectory",
    "ZarrStore",
    "atomic",
    "read_netcdf",
    "read_store",
    "remove_partial_files",
    "write_netcdf",
    "write_text",
]
