"""
Seeds, twins, alarms
====================

One run is an anecdote. Several seeds, each beside a twin whose task does not change, make an
experiment with intervals.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from torch import nn

import ntkscope

digits = load_digits()
x = torch.from_numpy(digits.data.astype("float32") / 16)
y = torch.from_numpy(digits.target)
low, high = torch.nonzero(y < 5)[:, 0], torch.nonzero(y >= 5)[:, 0]


# %%
# A run of one seed, with a shift after 100 steps or without. The boundary is declared in both:
# it is where they are compared.
def watched(seed, shift):
    """Train on digits 0 to 4, then on 5 to 9 if it shifts."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 5))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    probe = low[:40]
    watch = ntkscope.Watch(model, x[probe], y[probe], overhead=None, every=1, seed=seed)
    alarm = watch.alarm(rate=0.02)
    watch.step(0)
    for step in range(1, 151):
        task = high if shift and step > 100 else low
        batch = task[torch.randint(len(task), (32,))]
        loss = nn.functional.cross_entropy(model(x[batch]), y[batch] % 5)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        watch.step(step, loss=loss)
        if step == 100:
            watch.boundary(step)
    return watch, alarm


shifted, twins = ([watched(seed, shift) for seed in range(3)] for shift in (True, False))

# %%
# Effects at the boundary, minus the twins', with intervals over the seeds: the spike as the log of
# the velocity over the twin's, the norm's drop as a share. With three seeds the drop is resolved
# (its interval is above 0), the spike is not: take five or more.
found = ntkscope.compare(
    {"new digits": [watch for watch, _ in shifted]},
    twins={"new digits": [watch for watch, _ in twins]},
)
rows = found.table.set_index("quantity").loc[["spike", "norm_drop", "deflection"]]
print(rows[["estimate", "low", "high"]].astype(float).round(3))

# %%
# The paper's figure of them.
file = Path(tempfile.mkdtemp()) / "comparison.png"
found.plot(file, dpi=150)
picture = plt.imread(file)
axes = plt.figure(figsize=(7, 7 * len(picture) / picture.shape[1])).add_axes((0, 0, 1, 1))
axes.imshow(picture)
axes.axis("off")

# %%
# Nobody need declare a shift: the alarm compares each velocity with those before it, at a stated
# rate of false alarms (2% of the steps here).
for name, runs in (("shifted", shifted), ("twin", twins)):
    print(name, [[each.step for each in alarm.raised] for _, alarm in runs])
