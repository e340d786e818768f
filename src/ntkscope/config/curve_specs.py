"""Learning curves by identity: tasks, networks and kernel regressions (Vyas et al. 2022).

As in `specs`, a spec holds exactly the fields that change a number.
"""

from __future__ import annotations

import itertools
from functools import cached_property
from typing import Any, Literal

from ntkscope.config.sections.base import Precision
from ntkscope.config.sections.learning_curves import (
    Criterion,
    CurveLoss,
    Kernels,
    Learning,
    Offset,
    Stop,
)
from ntkscope.config.specs import DatasetSpec, ModelSpec, Spec, default_of
from ntkscope.errors import ConfigError
from ntkscope.identity import digest

# Raise a number when a change of code must not meet stores made before it.
_FORMAT = {"task": 1, "networks": 1, "regression": 1}

KernelSource = Literal["infinite", "initial", "after", "during"]


def _check_rising(name: str, values: tuple[float, ...]) -> None:
    if any(later <= earlier for earlier, later in itertools.pairwise(values)):
        raise ConfigError(
            f"{name} = {values} do not rise", where=name, remedy="sort them, each once"
        )


class SampleCounts(Spec):
    """Samples of each split of a task's store, per seed.

    A job reads a store of as many as it needs: more samples for another job are another store, and
    leave its own as it is. No sample depends on how many others there are.
    """

    train: int
    fresh: int
    validation: int
    test: int

    def store_of(self, task: ScalarTaskSpec) -> str:
        """Name of the store of so many samples: `{task.id}-8000-4000-1000-4000`."""
        return f"{task.id}-{self.train}-{self.fresh}-{self.validation}-{self.test}"


class ScalarTaskSpec(Spec):
    """Inputs with one target number per sample, drawn for each seed.

    Attributes:
        name: of a file of `data.tasks`.
        dataset: the images that it is made of; None: made of nothing.
        positive, negative: of `two_groups`: the classes whose target is +1 and −1.
        seeds: each has samples of its own.
    """

    name: str
    dataset: DatasetSpec | None = None
    positive: tuple[int, ...] | None = None
    negative: tuple[int, ...] | None = None
    seeds: tuple[int, ...]

    @cached_property
    def id(self) -> str:
        """A readable prefix and 12 hex digits: `digit_pairs-3f2a9c41d0ab`."""
        code = digest({"format": _FORMAT["task"], **self.model_dump(mode="json")})
        return f"{self.name}-{code}"


class LearningSpec(Spec):
    """How one network learns n samples.

    Attributes:
        learning_rate: the one used, after any scaling with width.
        batch_size: None: all n at once (gradient descent).
        epochs, steps_at_least: the budget is max(steps_at_least, epochs · n / batch) steps.
        evaluations: log-spaced steps at which the validation error is looked at.
        stop: early (the parameters of least validation error are kept) or convergence (the last
            are kept, when the training loss is below `converged_loss`).
        patience, patience_from: stops when step > patience · max(best step, patience_from).
        reversed_batches: each batch is summed in reverse: the same mathematics, other rounding.
    """

    later = frozenset({"reversed_batches"})

    learning_rate: float
    momentum: float = default_of(Learning, "momentum")
    weight_decay: float = default_of(Learning, "weight_decay")
    batch_size: int | None = default_of(Learning, "batch_size")
    loss: CurveLoss = default_of(Learning, "loss")
    epochs: float = default_of(Learning, "epochs")
    steps_at_least: int = default_of(Learning, "steps_at_least")
    evaluations: int = default_of(Learning, "evaluations")
    stop: Stop = default_of(Learning, "stop")
    patience: float = default_of(Learning, "patience")
    patience_from: int = default_of(Learning, "patience_from")
    converged_loss: float = default_of(Learning, "converged_loss")
    precision: Precision = default_of(Learning, "precision")
    reversed_batches: bool = False

    def budget(self, samples: int) -> int:
        """Most steps with so many training samples."""
        batch = min(self.batch_size or samples, samples)
        return max(self.steps_at_least, round(self.epochs * samples / batch))


class NetworksSpec(Spec):
    """The networks of a learning curve: one for each seed and number of training samples.

    Attributes:
        sizes: training samples, ascending.
        validation, test: samples of these splits that are used.
        during: steps at which the networks of `during_samples` (one of `sizes`) are kept too.
    """

    task: ScalarTaskSpec
    model: ModelSpec
    learning: LearningSpec
    sizes: tuple[int, ...]
    validation: int
    test: int
    during: tuple[int, ...] = ()
    during_samples: int | None = None

    def model_post_init(self, context: Any, /) -> None:
        """Refuse what would train other networks than it says (made without a configuration).

        Raises:
            ConfigError: sizes or steps that do not rise, snapshots of a network that there is not.
        """
        _check_rising("sizes", self.sizes)
        _check_rising("during", self.during)
        if (self.during_samples in self.sizes) != bool(self.during):
            raise ConfigError(
                f"during_samples = {self.during_samples}, for steps {self.during}, is none of the "
                f"sizes {self.sizes}",
                where="during_samples",
                remedy="name one of sizes with the steps of its snapshots, or give neither",
            )

    @property
    def counts(self) -> SampleCounts:
        """The samples that are needed."""
        most = max(self.sizes)
        return SampleCounts(train=most, fresh=0, validation=self.validation, test=self.test)

    @cached_property
    def id(self) -> str:
        """A readable prefix and 12 hex digits: `digit_pairs-mlp-w64-lr0.02-3f2a9c41d0ab`.

        Budgets are part of it: the rule that makes them stands here, not in the stage's code.
        """
        budgets = [self.learning.budget(n) for n in self.sizes]
        fields = {**self.model_dump(mode="json"), "budgets": budgets}
        code = digest({"format": _FORMAT["networks"], **fields})
        scaling = "-ntk" if self.model.parametrisation == "ntk" else ""
        rate = f"lr{self.learning.learning_rate:.3g}"
        name = f"{self.task.name}-{self.model.kind}-w{self.model.width}{scaling}"
        return f"{name}-{rate}-{code}"


class RegressionSpec(Spec):
    """Kernel regressions with one kind of kernel on nested numbers of samples.

    Attributes:
        source: infinite; initial (of `model`, mean over `ensemble` initialisations); after (of each
            network of `networks` with a number of training samples in `trained_on`); during (at
            each of `steps`, some of `networks.during`).
        model: of infinite and initial kernels; weight_std and bias_std are set for infinite ones.
        networks: of after-kernels and kernels during training.
        sizes: n, ascending.
        fits: which samples: own (those of the task's train split), fresh.
        test: test samples.
        criterion: of leave-one-out.
        ridges: the grid, relative to the kernel's mean diagonal, ascending.
        leave_one_out_most: above so many samples the ridge chosen with so many is used.
        offset: whether y − f₀ is regressed, f₀ being the network's own outputs.
        by_layer: whether each layer's kernel is regressed by itself too.
    """

    source: KernelSource
    task: ScalarTaskSpec
    model: ModelSpec | None = None
    ensemble: int = 1
    networks: NetworksSpec | None = None
    trained_on: tuple[int, ...] = ()
    steps: tuple[int, ...] = ()
    sizes: tuple[int, ...]
    fits: tuple[Literal["own", "fresh"], ...]
    test: int
    criterion: Criterion = default_of(Kernels, "criterion")
    ridges: tuple[float, ...]
    leave_one_out_most: int = default_of(Kernels, "leave_one_out_most")
    offset: Offset = default_of(Kernels, "offset")
    by_layer: bool = default_of(Kernels, "by_layer")
    precision: Precision = default_of(Kernels, "precision")

    def model_post_init(self, context: Any, /) -> None:
        """Refuse what is not in the order that the stage counts on.

        Raises:
            ConfigError: names what does not rise.
        """
        for name in ("sizes", "ridges", "trained_on", "steps"):
            _check_rising(name, getattr(self, name))

    @property
    def counts(self) -> SampleCounts:
        """The samples that are needed."""
        own, fresh = (max(self.sizes) if split in self.fits else 0 for split in ("own", "fresh"))
        return SampleCounts(train=own, fresh=fresh, validation=0, test=self.test)

    @property
    def network(self) -> ModelSpec:
        """The network whose kernel it is."""
        if self.model is not None:
            return self.model
        assert self.networks is not None
        return self.networks.model

    @cached_property
    def id(self) -> str:
        """A readable prefix and 12 hex digits: `digit_pairs-initial-mlp-w512-3f2a9c41d0ab`."""
        fields = {**self.model_dump(mode="json"), "networks": self.networks and self.networks.id}
        code = digest({"format": _FORMAT["regression"], **fields})
        width = "" if self.source == "infinite" else f"-w{self.network.width}"
        return f"{self.task.name}-{self.source}-{self.network.kind}{width}-{code}"
