"""
Kernel regression and learning curves
=====================================

How well does a kernel generalise, and how does its error fall with the number of samples?
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

import ntkscope

torch.manual_seed(0)
digits = load_digits()
order = np.random.default_rng(0).permutation(len(digits.target))
x = torch.from_numpy(digits.data[order] / 16)
y = torch.from_numpy(np.where(digits.target[order] < 5, 1.0, -1.0))
train, test = slice(0, 1200), slice(1200, None)

# %%
# One kernel on the largest set; every smaller n is read from it. The ridge is chosen by exact
# leave-one-out, from one eigendecomposition for all ridges.
network = nn.Sequential(nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 1)).double()
kernels = {
    "infinite NTK": (
        ntkscope.infinite_ntk(network, x[train], W_std=2**0.5, b_std=0.1),
        ntkscope.infinite_ntk(network, x[test], x[train], W_std=2**0.5, b_std=0.1),
    ),
    "NTK at initialisation": (
        ntkscope.empirical_ntk(network, x[train]),
        ntkscope.empirical_ntk(network, x[test], x[train]),
    ),
}
figure, axis = plt.subplots(figsize=(5, 3.6))
sizes = [75, 150, 300, 600, 1200]
for name, (kernel, cross) in kernels.items():
    errors = []
    for n in sizes:
        fitted = ntkscope.KernelRidge(ridge="loo").fit(kernel[:n, :n], y[train][:n])
        wrong = np.sign(fitted.predict(cross[:, :n])) != y[test].numpy()
        errors.append(wrong.mean())
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    axis.loglog(sizes, errors, "o-", label=f"{name}: n$^{{{slope:.2f}}}$")
axis.set(xlabel="training samples n", ylabel="test error")
axis.legend(frameon=False)
figure.tight_layout()

# %%
# One seed and one test set: a curve to look at, not a claim. The workflow's ``scaling`` figure
# (:doc:`/figures`) does it with seeds, paired differences and intervals; for one of your own, see
# :doc:`/workflow`.

# %%
# Gradient flow of the linearised network, in closed form: how its outputs move over time, from
# what they are at first.
kernel, cross = (each[:, :300] for each in kernels["NTK at initialisation"])
with torch.no_grad():
    before, before_test = network(x[:300])[:, 0], network(x[test])[:, 0]
flow = ntkscope.gradient_flow(kernel[:300], y[:300], before)
times = [0.0, 1.0, 10.0, 100.0, 1000.0, float("inf")]
outputs = flow(times, cross_kernel=cross, offset=before_test)
for time, predicted in zip(times, outputs, strict=True):
    wrong = torch.sign(predicted) != y[test]
    print(f"t = {time:g}: error {float(wrong.double().mean()):.3f}")
