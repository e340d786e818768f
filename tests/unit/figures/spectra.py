"""Made-up layers and eigenvalues, which tables of curves lack."""

from __future__ import annotations

import numpy as np
import xarray as xr

LAYERS = ("hidden1", "readout", "conv1", "conv2")
RANKS = np.arange(1, 11)


def with_spectra(metrics: xr.Dataset) -> xr.Dataset:
    """The table with `layer_share`, `eigenvalues` and `label_projection` of all its runs.

    Runs whose variant ends in cnn have layers conv1, conv2 and readout, others hidden1 and readout.
    """
    curve = metrics["spectral_norm"]
    rank = xr.DataArray(RANKS, dims="rank", coords={"rank": RANKS})
    noise = 0.01 * curve["seed"]
    there = curve.where(metrics["step"] > metrics["boundary_step"].isel(boundary=0))
    convolved = metrics["variant"].str.endswith("cnn") if "variant" in metrics else xr.DataArray(0)
    shares = [
        (there * 0 + share + noise).where(layer == "readout" or convolved == (layer[0] == "c"))
        for layer, share in zip(LAYERS, (0.4, 0.6, 0.1, 0.3), strict=True)
    ]
    share = xr.concat(shares, "layer").assign_coords(layer=list(LAYERS))
    projection = (curve * 0 + noise + 0.1 / rank).transpose(*curve.dims, "rank")
    return metrics.assign(
        layer_share=share.transpose(*curve.dims, "layer"),
        eigenvalues=(curve / rank).transpose(*curve.dims, "rank"),
        label_projection=projection,
    )
