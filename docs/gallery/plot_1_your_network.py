"""
The kernel of your ResNet
=========================

Any torch module has an NTK. Here it is torchvision's ResNet-18, on small images.
"""

import matplotlib.pyplot as plt
import torch
from torchvision.models import resnet18

import ntkscope

torch.manual_seed(0)
model = resnet18(num_classes=10).eval()  # batch norm by running statistics
x = torch.randn(24, 3, 32, 32)
x[12:] = x[:12] + 0.3 * torch.randn(12, 3, 32, 32)  # the second half resembles the first

# %%
# The plan says, layer by layer, how the kernel will be computed, and at what cost; its last lines
# (scroll down) what other budgets of memory would cost.
print(ntkscope.plan_ntk(model, x))

# %%
# The kernel itself: [24, 24], the mean over the ten outputs. Some of its entries have been
# compared with plain autograd before it is returned. The bright lines beside the diagonal are the
# pairs that resemble each other.
kernel = ntkscope.empirical_ntk(model, x)
figure, axis = plt.subplots(figsize=(4.4, 3.6))
figure.colorbar(axis.imshow(kernel), label="Θ")
axis.set(title="NTK of ResNet-18", xlabel="sample", ylabel="sample")
figure.tight_layout()

# %%
# By layer: the kernels of the layers sum to the whole.
layers = ntkscope.empirical_ntk(model, x, by_layer=True)
whole = sum(layers.values())
difference = (whole - kernel).abs().max() / kernel.abs().max()
print(f"largest difference from the sum: {difference:.1e}")
share = {name: float(layer.trace() / kernel.trace()) for name, layer in layers.items()}
largest = dict(sorted(share.items(), key=lambda item: item[1])[-8:])
figure, axis = plt.subplots(figsize=(5, 3.2))
axis.barh(list(largest), list(largest.values()))
axis.set(title="Largest shares of the trace", xlabel="share")
figure.tight_layout()

# %%
# The kernel of a part of the network, by name of a module or of a parameter.
head = ntkscope.empirical_ntk(model, x, parameters="fc")
print(head.shape, f"{float(head.trace() / kernel.trace()):.2f} of the trace")

# %%
# What cannot be right is refused, and told what to do.
try:
    ntkscope.empirical_ntk(model.train(), x)
except ntkscope.errors.NtkscopeError as error:
    print(error)
