"""By which settings a table was made, as it says itself: its provenance is copied with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ntkscope.errors import NtkscopeError
from ntkscope.stores.netcdf import read_any_netcdf


def is_made_with(table: Path, settings: Mapping[str, Any]) -> bool:
    """Whether a table's provenance has all of these settings; False where it has none to be read.

    Args:
        table: a netCDF file of any kind.
        settings: name → value, as a job is given them; JSON-able.
    """
    try:
        record = json.loads(read_any_netcdf(table).attrs["provenance"])
    except (NtkscopeError, KeyError, ValueError):
        return False
    asked: dict[str, Any] = json.loads(json.dumps(dict(settings)))
    return all(name in record and record[name] == value for name, value in asked.items())
