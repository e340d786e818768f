"""
Kernels larger than memory
==========================

Three ways: tiles on disk, products without the kernel, traces with an error estimate. The kernel
here is small enough to check them.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
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
print(f"{eigenvalue.value:.4f} ± {eigenvalue.error:.4f} from {eigenvalue.products} products")
exact = torch.linalg.eigvalsh(torch.tensor(store.ntk.values))
print(f"{float(exact[-1]):.4f} of the kernel itself")

# %%
# The trace, by XTrace (Epperly et al. 2024), with its own estimate of the error: more products, a
# smaller error.
products = [10, 20, 40, 80]
estimates = [ntkscope.xtrace(operator, count) for count in products]
figure, axis = plt.subplots(figsize=(5, 3.2))
axis.errorbar(
    products,
    [each.value for each in estimates],
    [each.error for each in estimates],
    fmt="o",
    capsize=3,
    label="XTrace and its error estimate",
)
axis.axhline(store.ntk.values.trace(), color="grey", ls="--", label="of the kernel itself")
axis.set(xlabel="products with the kernel", ylabel="trace")
axis.legend(frameon=False)
figure.tight_layout()
