"""The networks of a learning curve: which there are, and when each is looked at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ntkscope.config.curve_specs import NetworksSpec
from ntkscope.models import Definition
from ntkscope.training.stacking import stack_sizes


@dataclass(frozen=True)
class Member:
    """One network of a learning curve.

    Attributes:
        place: positions of its seed and of its size in the spec: its index in the store.
        seed: of its initialisation and its batches.
        samples: n: it learns the first n training samples of its seed.
        batch: samples a step.
        budget: most steps.
        looks: steps at which its validation error is looked at, ascending, the budget last.
        snapshots: steps at which its parameters are kept, in the order of the spec.
    """

    place: tuple[int, int]
    seed: int
    samples: int
    batch: int
    budget: int
    looks: tuple[int, ...]
    snapshots: tuple[int, ...] = ()


@dataclass(frozen=True)
class Together:
    """Networks that train as one stack.

    Attributes:
        indices: of the members.
        in_company: whether such networks train in company, even if this is one alone.
    """

    indices: tuple[int, ...]
    in_company: bool


def members_of(spec: NetworksSpec) -> list[Member]:
    """Every network of a spec, those of a seed together."""
    learning = spec.learning
    with_snapshots = spec.during_samples or spec.sizes[-1]
    return [
        Member(
            place=(i, j),
            seed=seed,
            samples=n,
            batch=min(learning.batch_size or n, n),
            budget=learning.budget(n),
            looks=look_steps(learning.budget(n), learning.evaluations),
            snapshots=spec.during if n == with_snapshots else (),
        )
        for i, seed in enumerate(spec.task.seeds)
        for j, n in enumerate(spec.sizes)
    ]


def look_steps(budget: int, count: int) -> tuple[int, ...]:
    """At most `count` log-spaced steps from 1 to the budget, ascending."""
    steps = np.unique(np.round(np.geomspace(1, budget, count)).astype(int))
    return tuple(steps.tolist())


# Measured on one core, batch 32, MLP of 3 layers of 64 units on 128 features: 30 networks as one
# stack 1.7 ms a step, 5 networks 0.52, one 0.35. At width 512, 5 networks: 14.7, one by one 18.4.
# Myrtle-5 of 16 channels on 8×8×2: 25 networks 23, one by one 46.


def groups_of(
    members: list[Member], definition: Definition, shape: tuple[int, ...]
) -> list[Together]:
    """The members that train as one stack: those of equal batches, where it pays.

    Args:
        members: all.
        definition: of the networks.
        shape: of a sample as stored.
    """
    groups = []
    for batch in sorted({member.batch for member in members}):
        same = [number for number, member in enumerate(members) if member.batch == batch]
        in_company = len(stack_sizes(definition, shape, batch, 2)) == 1
        for size in stack_sizes(definition, shape, batch, len(same)):
            groups.append(Together(tuple(same[:size]), in_company))
            same = same[size:]
    return groups
