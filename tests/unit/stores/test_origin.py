"""A table says itself by which settings it was made."""

from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from ntkscope.stores import write_netcdf
from ntkscope.stores.origin import is_made_with

RECORD = {"commit": "abc", "window": 3, "cells": [{"axes": {"width": 4}}], "code": "12ab"}


@pytest.mark.parametrize(
    ("settings", "same"),
    [
        ({"window": 3, "code": "12ab"}, True),
        ({"cells": ({"axes": {"width": 4}},)}, True),
        ({"window": 2, "code": "12ab"}, False),
        ({"window": 3, "confidence": 0.95}, False),
        ({"absent": None}, False),
    ],
)
def test_all_settings_are_compared(tmp_path: Path, settings: dict[str, Any], same: bool) -> None:
    write_netcdf(xr.Dataset({"x": ("row", [1.0])}), tmp_path / "fits.nc", "fits", RECORD)
    assert is_made_with(tmp_path / "fits.nc", settings) == same


def test_what_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "fits.nc").write_bytes(b"no table")
    assert not is_made_with(tmp_path / "fits.nc", {})
