"""Tables: an interruption in the midst of HDF5 waits until it has ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from ntkscope.stores.netcdf import read_netcdf, write_netcdf


def interrupted(usual: Callable[..., Any]) -> Callable[..., Any]:
    """Does what it does with Ctrl-C in its midst; then its `ended` is true."""

    def call(*args: Any, **options: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        done = usual(*args, **options)
        call.ended = True  # type: ignore[attr-defined]
        return done

    return call


@pytest.mark.parametrize("what", ["Dataset.to_netcdf", "open_dataset"])
def test_an_interruption_in_the_midst_of_hdf5_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    data, table = xr.Dataset({"drop": ("width", [0.5, 0.25])}), tmp_path / "fits.nc"
    write_netcdf(data, table, "fits", {})
    owner = xr.Dataset if "." in what else xr
    name = what.rpartition(".")[2]
    call = interrupted(getattr(owner, name))
    monkeypatch.setattr(owner, name, call)
    with pytest.raises(KeyboardInterrupt):
        write_netcdf(data, table, "fits", {}) if "." in what else read_netcdf(table, "fits")
    assert call.ended  # type: ignore[attr-defined]
    monkeypatch.undo()
    assert list(read_netcdf(table, "fits")["drop"]) == [0.5, 0.25]
