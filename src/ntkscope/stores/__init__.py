"""Files between stages: Zarr stores and NetCDF tables that say when they are damaged or incomplete.

Every Zarr store has a CRC32C on each chunk, dimension names, provenance, and a completion mask,
and is opened by xarray. Jobs write into a `JobDirectory` outside their declared output and move the
finished store there, so that a killed job can go on where it was.
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
