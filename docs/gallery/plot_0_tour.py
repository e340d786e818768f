"""
A tour in five minutes
======================

A network, its kernel, the kernel's limit, what it predicts, and how it moves in training.
"""

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from torch import nn

import ntkscope

torch.manual_seed(0)
digits = load_digits()
x = torch.from_numpy(digits.data.astype("float32") / 16)
y = torch.from_numpy(digits.target)
order = y[:100].argsort()  # a hundred images, zeros first
probe, labels = x[order], y[order]
network = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10))

# %%
# The empirical NTK says how much a gradient step on one image changes the outputs at another. It
# is exact, and its layers sum to the whole.
kernel = ntkscope.empirical_ntk(network, probe)
layers = ntkscope.empirical_ntk(network, probe, by_layer=True)
print(kernel.shape, {name: f"{float(each.trace()):.0f}" for name, each in layers.items()})

# %%
# The infinite one needs no weights: it is the limit of wide networks at initialisation. Centred
# kernel alignment (CKA, 1: equal up to a factor) compares the two.
limit = ntkscope.infinite_ntk(network, probe, W_std=2**0.5)
print(f"CKA of both: {float(ntkscope.cka(kernel, limit)):.3f}")

# %%
# What the network would predict if its kernel stayed as it is: kernel regression.
train, test = slice(0, 800), slice(800, None)
one_hot = nn.functional.one_hot(y, 10).double()
fitted = ntkscope.KernelRidge(ridge="loo").fit(
    ntkscope.empirical_ntk(network, x[train]), one_hot[train]
)
predicted = fitted.predict(ntkscope.empirical_ntk(network, x[test], x[train])).argmax(1)
print(f"test error of the kernel: {(predicted != y[test].numpy()).mean():.3f}")

# %%
# But it does not stay as it is. Watch it:
watch = ntkscope.Watch(network, probe, labels, overhead=None)
optimiser = torch.optim.SGD(network.parameters(), lr=0.5)
watch.step(0)
for step in range(1, 301):
    batch = torch.randint(0, 800, (32,))
    loss = nn.functional.cross_entropy(network(x[batch]), y[batch])
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    watch.step(step, loss=loss)
wrong = network(x[test]).argmax(1) != y[test]
print(f"test error of the network: {float(wrong.float().mean()):.3f}")

run = watch.dataset().isel(seed=0)
kernels = {"before": kernel, "after training": ntkscope.empirical_ntk(network, probe)}
figure, (*places, course) = plt.subplots(1, 3, figsize=(9, 3))
for axis, (title, each) in zip(places, kernels.items(), strict=True):
    axis.imshow(each / each.diagonal().mean(), vmin=0, vmax=1.5)
    axis.set(title=title, xlabel="image", ylabel="image")
course.plot(run.step, run.alignment)
course.set(title="alignment with the labels", xlabel="step", ylabel="CKA")
figure.tight_layout()

# %%
# Images are in the order of their digits: after training, blocks of one class stand out.
#
# From here: :doc:`plot_1_your_network`, :doc:`plot_2_watch_a_switch`, or the
# :doc:`study </workflow>`.
