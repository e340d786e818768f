"""The configuration a user writes, one model a section. A list for one value is a sweep.

These models check each value by itself; `experiments.expand` checks what values mean together.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
)
from pydantic_core import CoreSchema, PydanticCustomError

T = TypeVar("T")


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _distinct(values: list[T]) -> list[T]:
    """The list as it is, if no value occurs twice in it."""
    for position, value in enumerate(values):
        if value in values[:position]:
            raise PydanticCustomError("repeated", "{value} occurs twice", {"value": value})
    return values


class _OneOrMany:
    """Tells the JSON schema of a sweep what its validator does: one value will do for a list."""

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        array = {**handler(core_schema), "uniqueItems": True}
        return {"anyOf": [array["items"], array]}


Distinct = Annotated[
    list[T],
    AfterValidator(_distinct),
    Field(min_length=1, json_schema_extra={"uniqueItems": True}),
]
"""A list of at least one value, none twice."""

Sweep = Annotated[
    list[T],
    BeforeValidator(_as_list),
    AfterValidator(_distinct),
    Field(min_length=1),
    _OneOrMany(),
]
"""One value, or a list of values to sweep over."""

NAME = r"^[a-z][a-z0-9_]*$"
Name = Annotated[str, Field(pattern=NAME)]
"""A name that is part of a file's: lower-case letters, digits and _, a letter first."""

Positive = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]


Activation = Literal["relu", "tanh", "gelu", "erf"]
_ACTIVATION = "Nonlinearity after every layer but the readout."
_BIAS = "Whether layers have biases."
_KIND = "Chooses this section."
_ORDER = "Seed of the order in which classes are used; null: 0, 1, 2, …"


class Section(BaseModel):
    """Base of all sections: unknown keys are refused, numbers are not made from strings."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Dataset(Section):
    """Where the images come from."""

    name: Literal[
        "digits", "fashion_mnist", "cifar10", "cifar100", "svhn", "imagenet100", "cifar5m"
    ] = Field("digits", description="Which images.")
    root: str | None = Field(
        None,
        description="Folder that holds the dataset's files, absolute or from the working folder "
        "(cosmetic); null: data.",
    )
    download: bool = Field(False, description="Whether missing files may be downloaded (cosmetic).")
    class_list: str | None = Field(
        None, description="imagenet100 only: a text file of 100 class folder names, one a line."
    )
    train_samples: Positive | None = Field(
        None, description="Keep only this many training images (class-balanced); null: all."
    )
    test_samples: Positive | None = Field(
        None, description="Keep only this many test images (class-balanced); null: all."
    )


class MLP(Section):
    """Fully connected network."""

    kind: Literal["mlp"] = Field(description=_KIND)
    depth: Sweep[Positive] = Field([2], description="Hidden layers.")
    width: Sweep[Positive] = Field([256], description="Units in each hidden layer.")
    activation: Sweep[Activation] = Field(["relu"], description=_ACTIVATION)
    bias: Sweep[bool] = Field([True], description=_BIAS)


class CNN(Section):
    """`depth` blocks of [3×3 convolution, activation, 2×2 average pool], then a linear readout."""

    kind: Literal["cnn"] = Field(description=_KIND)
    depth: Sweep[Positive] = Field([2], description="Convolution blocks.")
    width: Sweep[Positive] = Field(
        [32], description="Channels of the first block; each next block doubles them."
    )
    activation: Sweep[Activation] = Field(["relu"], description=_ACTIVATION)
    bias: Sweep[bool] = Field([True], description=_BIAS)


class Myrtle(Section):
    """Myrtle network of 5, 7 or 10 layers, global average pooling, linear readout."""

    kind: Literal["myrtle5", "myrtle7", "myrtle10"] = Field(description=_KIND)
    width: Sweep[Positive] = Field([64], description="Channels of every convolution.")
    activation: Sweep[Activation] = Field(["relu"], description=_ACTIVATION)
    bias: Sweep[bool] = Field([True], description=_BIAS)


Model = Annotated[MLP | CNN | Myrtle, Field(discriminator="kind")]


class Regime(Section):
    """A learning regime: how parameters are scaled and how the learning rate follows the width."""

    parametrisation: Literal["standard", "ntk"] = Field(
        "standard",
        description="standard: PyTorch's default; ntk: unit normal parameters, "
        "1/√fan_in in the forward pass.",
    )
    learning_rate: Sweep[PositiveFloat] = Field(
        [0.1], description="Step size of the optimiser, before `scaling`."
    )
    scaling: Literal["fixed", "inverse_width"] = Field(
        "fixed", description="inverse_width: the learning rate used is learning_rate / width."
    )
    weight_std: PositiveFloat = Field(
        2.0**0.5,
        description="ntk parametrisation only: W_std of all layers but the readout (1); √2.",
    )
    bias_std: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        0.1, description="ntk parametrisation only: scale of the biases, which start at 0."
    )
    label: str | None = Field(None, description="Name in figures (cosmetic).")


class _Stream(Section):
    steps: Sweep[Positive] = Field([300], description="Training steps of each task.")


class ClassSplit(_Stream):
    """Each task has classes that no task before it had."""

    kind: Literal["class_split"] = Field(description=_KIND)
    tasks: Sweep[Positive] = Field([2], description="Number of tasks.")
    classes_per_task: Sweep[Positive] = Field([5], description="Classes of each task, all new.")
    change: Sweep[Literal["abrupt", "gradual"]] = Field(
        ["abrupt"],
        description="abrupt: the classes change at the boundary; gradual: their frequencies go "
        "linearly from the last task's classes to the new ones over each task.",
    )
    order_seed: Sweep[Natural | None] = Field([None], description=_ORDER)


class Overlap(_Stream):
    """Two tasks that share some of their classes."""

    kind: Literal["overlap"] = Field(description=_KIND)
    classes: Sweep[Positive] = Field([5], description="Classes of the first task.")
    new_classes: Sweep[Natural] = Field(
        [5], description="Classes of the second task that the first lacks."
    )
    protocol: Sweep[Literal["swap", "add"]] = Field(
        ["swap"], description="swap: new classes replace old ones; add: they join them."
    )
    order_seed: Sweep[Natural | None] = Field([None], description=_ORDER)


class Frequency(_Stream):
    """Fixed classes whose frequencies shift: D_α = (1−α) D̃0 + α D̃1, other classes rare in each."""

    kind: Literal["frequency"] = Field(description=_KIND)
    classes: Sweep[Positive] = Field(
        [10], description="Classes of both tasks; half of them are rare in each."
    )
    epsilon: Sweep[Annotated[float, Field(ge=0, le=1)]] = Field(
        [0.1], description="Frequency of a rare class relative to a common one."
    )
    alpha: Sweep[Literal["stepped", "ramped"]] = Field(
        ["stepped"],
        description="stepped: α jumps 0→1 at the boundary; ramped: linearly over task 2.",
    )
    order_seed: Sweep[Natural | None] = Field([None], description=_ORDER)


class Relabel(_Stream):
    """The second and later tasks change labels, or inputs under the old labels."""

    kind: Literal["relabel"] = Field(description=_KIND)
    tasks: Sweep[Positive] = Field([2], description="Number of tasks.")
    classes: Sweep[Positive] = Field([5], description="Classes of each task.")
    change: Sweep[Literal["shift", "permute", "inputs"]] = Field(
        ["shift"],
        description="shift: same inputs, labels + classes·task; "
        "permute: same inputs, labels permuted; inputs: new classes under the old labels.",
    )
    order_seed: Sweep[Natural | None] = Field([None], description=_ORDER)


class Single(_Stream):
    """One task only."""

    kind: Literal["single"] = Field(description=_KIND)
    classes: Sweep[Positive] = Field([10], description="Classes of the task.")
    order_seed: Sweep[Natural | None] = Field([None], description=_ORDER)


Stream = Annotated[ClassSplit | Overlap | Frequency | Relabel | Single, Field(discriminator="kind")]


class Training(Section):
    """How a task is learnt."""

    optimizer: Sweep[Literal["sgd", "adam"]] = Field(["sgd"], description="Optimiser.")
    momentum: Sweep[Annotated[float, Field(ge=0, lt=1)]] = Field(
        [0.0], description="Heavy-ball momentum; sgd only."
    )
    weight_decay: Sweep[Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(
        [0.0], description="L2 penalty: weight_decay · parameter is added to the gradient."
    )
    schedule: Sweep[Literal["constant", "linear", "cosine"]] = Field(
        ["constant"], description="Learning rate over a task's steps; starts again at each task."
    )
    loss: Sweep[Literal["cross_entropy", "mse"]] = Field(
        ["cross_entropy"],
        description="What is minimised; mse: half the squared distance to one-hot targets.",
    )
    batch_size: Sweep[Positive] = Field([64], description="Images of a training step.")
    sampling: Sweep[Literal["epochs", "independent"]] = Field(
        ["epochs"],
        description="epochs: a seeded permutation an epoch; independent: each image drawn afresh.",
    )
    precision: Literal["float32", "float64"] = Field(
        "float32", description="dtype of parameters and arithmetic."
    )
    evaluation_samples: Positive = Field(
        200, description="Test images of each task behind the log's loss and accuracy."
    )


class Snapshots(Section):
    """At which steps the parameters are kept."""

    around_boundary: Natural = Field(
        20, description="Every step, so many before and after each boundary."
    )
    log_spaced: Natural = Field(
        10,
        description="So many more steps of each task, log-spaced; more than it has steps: all.",
    )


class Probe(Section):
    """The fixed inputs on which kernels are evaluated: images of one task, class-balanced."""

    samples: Annotated[int, Field(ge=4)] = Field(
        100, description="Images N; a kernel has N × N entries (full: NK × NK)."
    )
    task: Positive = Field(1, description="Number of the task, from 1, whose images are used.")
    seed: Natural = Field(0, description="Seed of the choice of images.")


class Kernel(Section):
    """Which kernel is taken of each snapshot."""

    kind: Literal["trace", "full", "pseudo"] = Field(
        "trace",
        description="trace: mean over outputs; full: every pair of outputs; "
        "pseudo: of the summed logits / √K.",
    )
    by_layer: bool = Field(True, description="Keep the layer NTKs too (kind trace).")
    precision: Literal["float32", "float64"] = Field(
        "float32", description="dtype of the kernel's arithmetic."
    )


class Fits(Section):
    """How runs are held against their twins."""

    window: Positive = Field(20, description="Steps after the boundary for the deflection.")
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = Field(
        0.95, description="Level of every interval over seeds."
    )


class FigureStyle(Section):
    """Cosmetic: changes the drawing only."""

    width_mm: Annotated[float, Field(ge=80, le=400)] = Field(
        180.0, description="Width of the page's drawing, in millimetres."
    )
    palette: Literal[
        "viridis", "cividis", "plasma", "inferno", "magma", "mako", "rocket", "crest", "flare"
    ] = Field("viridis", description="Colours of the widths; all are safe for the colour-blind.")
    font_size: Annotated[float, Field(ge=5, le=14)] = Field(
        7.0, description="Size of the text, in points."
    )
    dpi: Annotated[int, Field(ge=72, le=1200)] = Field(
        300, description="Resolution of the PNG, in dots an inch."
    )


class Resources(Section):
    """What a training or kernel job asks for."""

    threads: Positive = Field(1, description="CPU threads of a job.")
    mem_mb: Positive = Field(
        3000,
        description="Memory asked for a job, in MB; a large kernel is taken in tiles that fit.",
    )
    runtime_minutes: Positive = Field(60, description="Time asked for a job, in minutes.")
    gpu: Annotated[int, Field(ge=0, le=1)] = Field(
        0, description="GPUs asked of the cluster for a job."
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="Where tensors live; auto: a GPU if there is one."
    )
    checkpoint_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        30.0, description="Seconds between checkpoints of a running job."
    )
    kernel_jobs: Positive = Field(
        1, description="So many jobs share each kernel of a run; the numbers are the same."
    )
    keep_snapshots: bool = Field(
        True, description="false: snapshots are deleted when every kernel has been taken of them."
    )


class Variant(Section):
    """What one part of an experiment has of its own: each section here replaces the experiment's.

    A section that is not given has a default that is never used: `model_fields_set` tells.
    """

    dataset: Dataset = Field(
        default_factory=Dataset,
        description="Where its images come from; `root` and `download` are the configuration's "
        "unless given.",
    )
    model: Model = Field(default_factory=lambda: MLP(kind="mlp"), description="Its network.")
    regimes: Distinct[str] = Field(
        default_factory=list, description="Names of sections under `regimes`."
    )
    stream: Stream = Field(
        default_factory=lambda: ClassSplit(kind="class_split"), description="Its stream of tasks."
    )
    training: Training = Field(default_factory=Training, description="How it learns a task.")


ANALYSES = Literal[
    "reactivation",
    "similarity",
    "frequency",
    "learning_rate",
    "duration",
    "sequence",
    "datasets",
    "controls",
    "table",
]


class Experiment(Section):
    """A sweep of runs, its analysis and its figure (which has the experiment's name)."""

    analysis: ANALYSES = Field(
        description="Which fits and which figure, see below; table: metrics and fits of any "
        "sweep, without a figure."
    )
    model: Model = Field(description="The network.")
    regimes: Distinct[str] = Field(description="Names of sections under `regimes`.")
    stream: Stream = Field(description="The stream of tasks.")
    variants: dict[Name, Variant] = Field(
        {},
        description="Parts that differ in whole sections, each swept by itself, under names of "
        "their own; none: the experiment is one sweep.",
    )
    absent: Literal["refuse", "leave_out"] = Field(
        "refuse",
        description="A variant whose dataset's files are not on this machine: refuse, or leave it "
        "out and say so.",
    )
    training: Training = Field(Training(), description="How a task is learnt.")
    snapshots: Snapshots = Field(Snapshots(), description="When parameters are kept.")
    probe: Probe = Field(Probe(), description="The inputs on which kernels are evaluated.")
    kernel: Kernel = Field(Kernel(), description="Which kernel is taken.")
    fits: Fits = Field(Fits(), description="How runs are held against their twins.")
    figure: FigureStyle = Field(FigureStyle(), description="Looks of the figure (cosmetic).")
    twin: bool = Field(
        True, description="Train each run's twin: the same stream without the shift."
    )


class Config(Section):
    """The whole configuration."""

    preset: Name = Field(
        "digits",
        description="Name of this configuration; one other than `digits` draws into "
        "figures/{preset}/.",
    )
    dataset: Dataset = Field(Dataset(), description="Where the images come from.")
    seeds: Distinct[Natural] = Field(
        [0, 1, 2, 3, 4], description="One network each; five or more for an interval."
    )
    regimes: dict[Name, Regime] = Field(
        min_length=1, description="Learning regimes, by the names experiments call them."
    )
    experiments: dict[Name, Experiment] = Field(
        min_length=1, description="Experiments by name; a figure has its experiment's name."
    )
    resources: Resources = Field(Resources(), description="What a job asks for (cosmetic).")
