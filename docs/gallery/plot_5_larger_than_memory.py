"""
Kernels larger than memory
==========================

Three ways: tiles on disk, products without the kernel, traces with an error estimate.
"""

import tempfile
from pathlib import Path

import torch
from torch import nn

import ntkscope

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
x = torch.randn(600, 64)

# %%
# Tile by tile into a Zarr store. A process that is killed goes on where it was; a changed model
# is refused.
folder = Path(tempfile.mkdtemp())
ntkscope.write_ntk(folder / "kernel.zarr", model, x, memory="50MB")
store = ntkscope.read_store(folder / "kernel.zarr", "kernels")
print(store.ntk.shape, store.attrs["normalisation"])

# %%
# An operator is a SciPy LinearOperator: products with the kernel, which is never formed.
operator = ntkscope.NTKOperator(model, x)
eigenvalue = ntkscope.largest_eigenvalue(operator)
print(eigenvalue)
print(
    f"of the kernel itself: {float(torch.linalg.eigvalsh(torch.tensor(store.ntk.values))[-1]):.4f}"
)

# %%
# The trace, by XTrace (Epperly et al. 2024), with its own estimate of the error.
print(ntkscope.xtrace(operator, 40))
print(f"of the kernel itself: {float(store.ntk.values.trace()):.2f}")
