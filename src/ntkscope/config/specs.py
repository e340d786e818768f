"""Runs and kernels by identity: exactly the fields that change a number, nothing cosmetic."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from ntkscope.config.sections.base import Precision, Section
from ntkscope.config.sections.learning_curves import Network
from ntkscope.config.sections.models import (
    MLP,
    Activation,
    Initialisation,
    ModelKind,
    Parametrisation,
    Regime,
)
from ntkscope.config.sections.output import Kernel, KernelKind, Probe
from ntkscope.config.sections.training import (
    Loss,
    Optimizer,
    Sampling,
    Schedule,
    Snapshots,
    Training,
)
from ntkscope.identity import digest

# Raise a stage's number when a change of its code must not meet stores made before it.
_FORMAT = {"run": 1, "kernel": 1}


def default_of(section: type[Section], key: str) -> Any:
    """The default of a key of the configuration (of a sweep its one value): written there alone."""
    value = section.model_fields[key].default
    return value[0] if isinstance(value, list) else value


class Spec(BaseModel):
    """Frozen, hashable, JSON-able; what follows from its fields is made once.

    A field that came later is left out where it has its default, so that older identities stay.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    later: ClassVar[frozenset[str]] = frozenset()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Another with some fields changed, which keeps nothing that was made of this one's."""
        copied = super().model_copy(update=update, deep=deep)
        for name in copied.__dict__.keys() - type(self).model_fields.keys():
            del copied.__dict__[name]
        return copied

    @model_serializer(mode="wrap")
    def _without_later(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = type(self).model_fields
        dumped: dict[str, Any] = handler(self)
        unset = {key for key in self.later if getattr(self, key) == fields[key].default}
        return {key: value for key, value in dumped.items() if key not in unset}


class DatasetSpec(Spec):
    """A prepared dataset: name and how many samples of it are kept (None: all).

    `class_list` is the digest of the file that chooses imagenet100's classes. Files of the user's
    own have `content`, the digest of what they hold, and `classes`, their number.
    """

    later = frozenset({"content", "classes"})

    name: str
    class_list: str | None = None
    train_samples: int | None = None
    test_samples: int | None = None
    content: str | None = None
    classes: int | None = None

    @property
    def id(self) -> str:
        """Name of the store: the dataset's, with its content and limits if it has any."""
        limits = (
            ("", self.content),
            ("classes", self.class_list),
            ("train", self.train_samples),
            ("test", self.test_samples),
        )
        return "-".join([self.name, *(f"{split}{n}" for split, n in limits if n is not None)])


class Task(Spec):
    """A distribution over labelled images.

    Attributes:
        steps: training steps.
        classes: the dataset's classes whose images occur.
        labels: the label given to each of `classes`.
        weights: probability of each of `classes`; None: every image equally likely.
        weights_end: the same at the task's last step (linear in between); None: constant.
    """

    steps: int
    classes: tuple[int, ...]
    labels: tuple[int, ...]
    weights: tuple[float, ...] | None = None
    weights_end: tuple[float, ...] | None = None


class ModelSpec(Spec):
    """An architecture and its parametrisation.

    Of kind `module`, `function` (`package.module:name`) called with the shape of a sample, the
    number of outputs and `arguments` gives the network; `source_digest` is the SHA-256 of the
    sources behind it. Its `depth` and `width` are the arguments of these names, or 1.
    """

    later = frozenset({"function", "arguments", "source_digest", "initialisation"})

    kind: ModelKind
    depth: int
    width: int
    activation: Activation = default_of(MLP, "activation")
    bias: bool = default_of(MLP, "bias")
    parametrisation: Parametrisation = default_of(Regime, "parametrisation")
    weight_std: float | None = None
    bias_std: float | None = None
    initialisation: Initialisation = default_of(Network, "initialisation")
    function: str | None = None
    arguments: dict[str, bool | int | float | str] = {}
    source_digest: str | None = None

    def __hash__(self) -> int:
        """As a dict has none."""
        return hash(self.model_dump_json())


class OptimizerSpec(Spec):
    """Optimiser; `learning_rate` is the one used, after any scaling with width."""

    kind: Optimizer = default_of(Training, "optimizer")
    learning_rate: float
    momentum: float = default_of(Training, "momentum")
    weight_decay: float = default_of(Training, "weight_decay")
    schedule: Schedule = default_of(Training, "schedule")


class SnapshotSpec(Spec):
    """Snapshot schedule (see training.schedule)."""

    around_boundary: int = default_of(Snapshots, "around_boundary")
    log_spaced: int = default_of(Snapshots, "log_spaced")


class MethodSpec(Spec):
    """How a stream is learnt: a file of training/methods, and how much of it (see there)."""

    kind: str = default_of(Training, "method")
    strength: float = default_of(Training, "method_strength")


class RunSpec(Spec):
    """One training configuration over a stream. Equal specs are trained once.

    A run stores its last task only and continues its `parent`, the run over the tasks before:
    runs that share their first tasks (a run and its twin, say) share that training.
    `continues` says that a boundary follows the last task, so that its end is kept densely;
    `reversed_batches` that each batch is summed in reverse: the same mathematics, other rounding.
    """

    later = frozenset({"method", "reversed_batches"})

    dataset: DatasetSpec
    tasks: tuple[Task, ...]
    continues: bool = False
    reversed_batches: bool = False
    method: MethodSpec = MethodSpec()
    model: ModelSpec
    optimizer: OptimizerSpec
    loss: Loss = default_of(Training, "loss")
    batch_size: int = default_of(Training, "batch_size")
    sampling: Sampling = default_of(Training, "sampling")
    seeds: tuple[int, ...]
    snapshots: SnapshotSpec = SnapshotSpec()
    precision: Precision = default_of(Training, "precision")
    evaluation_samples: int = default_of(Training, "evaluation_samples")

    @cached_property
    def id(self) -> str:
        """A readable prefix and 12 hex digits of the identity: `mlp-w256-lr0.1-t2-3f2a9c41d0ab`."""
        model = self.model
        scaling = "-ntk" if model.parametrisation == "ntk" else ""
        rate = f"lr{self.optimizer.learning_rate:.3g}"
        code = digest({"format": _FORMAT["run"], **self.model_dump(mode="json")})
        return f"{model.kind}-w{model.width}{scaling}-{rate}-t{len(self.tasks)}-{code}"

    @cached_property
    def parent(self) -> RunSpec | None:
        """The run over all tasks but the last, or None for a run of one task."""
        if len(self.tasks) == 1:
            return None
        return self.model_copy(update={"tasks": self.tasks[:-1], "continues": True})

    @property
    def lineage(self) -> tuple[RunSpec, ...]:
        """From the run of the first task to this one: a store each."""
        return (*self.parent.lineage, self) if self.parent else (self,)

    @property
    def boundaries(self) -> tuple[int, ...]:
        """Steps at which one task ends and the next begins."""
        ends, step = [], 0
        for task in self.tasks[:-1]:
            step += task.steps
            ends.append(step)
        return tuple(ends)

    @property
    def start(self) -> int:
        """Step at which the last task begins."""
        return sum(task.steps for task in self.tasks[:-1])

    @property
    def twin(self) -> RunSpec:
        """The same run without the shift: every task is the first, with its own number of steps."""
        first = self.tasks[0]
        weights = {"classes": first.classes, "labels": first.labels, "weights": first.weights}
        tasks = (first, *(Task(steps=t.steps, **weights) for t in self.tasks[1:]))
        return self.model_copy(update={"tasks": tasks})


class KernelSpec(Spec):
    """Which kernel, on which probe. The probe's task is resolved, so it is the same for a twin.

    Attributes:
        kind: trace, full or pseudo.
        by_layer: whether layer NTKs are kept.
        precision: dtype of the arithmetic.
        samples, seed: number of probe images and the seed of their choice.
        classes: the dataset's classes they are from; labels: the label of each.
    """

    kind: KernelKind = default_of(Kernel, "kind")
    by_layer: bool = default_of(Kernel, "by_layer")
    precision: Precision = default_of(Kernel, "precision")
    samples: int
    seed: int = default_of(Probe, "seed")
    classes: tuple[int, ...]
    labels: tuple[int, ...]

    @cached_property
    def id(self) -> str:
        """A readable prefix and 12 hex digits: `trace-n100-8d1f0a6b2c3e`."""
        code = digest({"format": _FORMAT["kernel"], **self.model_dump(mode="json")})
        return f"{self.kind}-n{self.samples}-{code}"
