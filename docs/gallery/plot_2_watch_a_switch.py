"""
Watch a task switch
===================

Five lines more in a loop that you have: ``Watch`` decides itself when a kernel is due, and changes
nothing of the training.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from torch import nn

import ntkscope

torch.manual_seed(0)
digits = load_digits()
x = torch.from_numpy(digits.data.astype("float32") / 16)
y = torch.from_numpy(digits.target)
tasks = [torch.nonzero(y < 5)[:, 0], torch.nonzero(y >= 5)[:, 0]]
model = nn.Sequential(
    nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 5)
)
optimiser = torch.optim.SGD(model.parameters(), lr=0.1)

# %%
# The watch gets the network, a hundred samples of the first task, and their labels.
# ``overhead=None`` takes every kernel that is due; a number, such as the default 0.05, keeps
# watching below that share of the run's time.
probe = tasks[0][:100]
watch = ntkscope.Watch(model, x[probe], y[probe], overhead=None)
watch.step(0)
for step in range(1, 601):
    task = tasks[step > 300]
    batch = task[torch.randint(len(task), (64,))]
    loss = nn.functional.cross_entropy(model(x[batch]), y[batch] % 5)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    watch.step(step, loss=loss)
    if step == 300:
        watch.boundary(step)
print(watch.report())

# %%
# The paper's figure of this run, written to a file and shown. Left: the whole run; middle: the
# steps around the boundary, on an axis that is linear near it and logarithmic beyond; right: each
# layer (0, 2, 4: their names in the module). At the switch the velocity jumps (a), the norm falls
# and recovers (d, e), and the kernel moves away from where it was (g, h).
file = Path(tempfile.mkdtemp()) / "run.png"
watch.plot(file, dpi=150)
picture = plt.imread(file)
axes = plt.figure(figsize=(7, 7 * len(picture) / picture.shape[1])).add_axes((0, 0, 1, 1))
axes.imshow(picture)
axes.axis("off")

# %%
# The numbers: an xarray dataset with the names and units of the workflow's tables.
print(watch.dataset())
