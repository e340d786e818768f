"""The configuration a user writes, one model a section. A list where one value is expected is a sweep.

These models check each value by itself; `experiments.expand` checks what values mean together.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

T = TypeVar("T")


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


Sweep = Annotated[list[T], BeforeValidator(_as_list), Field(min_length=1)]
"""One value, or a list of values to sweep over."""

Positive = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Section(BaseModel):
    """Base of all sections: unknown keys are refused, numbers are not made from strings."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Dataset(Section):
    """Where the images come from."""

    name: Literal[
        "digits", "fashion_mnist", "cifar10", "cifar100", "svhn", "imagenet100", "cifar5m"
    ] = Field("digits", description="Which images.")
    root: str | None = Field(
        None, description="Folder that holds the dataset's files; null: the usual places."
    )
    download: bool = Field(False, description="Whether missing files may be downloaded.")
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

    kind: Literal["mlp"]
    depth: Sweep[Positive] = Field([2], description="Hidden layers.")
    width: Sweep[Positive] = Field([256], description="Units in each hidden layer.")
    activation: Sweep[Literal["relu", "tanh", "gelu", "erf"]] = Field(["relu"])
    bias: Sweep[bool] = Field([True])


class CNN(Section):
    """`depth` blocks of [3×3 convolution, activation, 2×2 average pool], then a linear readout."""

    kind: Literal["cnn"]
    depth: Sweep[Positive] = Field([2], description="Convolution blocks.")
    width: Sweep[Positive] = Field(
        [32], description="Channels of the first block; each next block doubles them."
    )
    activation: Sweep[Literal["relu", "tanh", "gelu", "erf"]] = Field(["relu"])
    bias: Sweep[bool] = Field([True])


class Myrtle(Section):
    """Myrtle network of 5, 7 or 10 layers, global average pooling, linear readout."""

    kind: Literal["myrtle5", "myrtle7", "myrtle10"]
    width: Sweep[Positive] = Field([64], description="Channels of every convolution.")
    activation: Sweep[Literal["relu", "tanh", "gelu", "erf"]] = Field(["relu"])
    bias: Sweep[bool] = Field([True])


Model = Annotated[MLP | CNN | Myrtle, Field(discriminator="kind")]


class Regime(Section):
    """A learning regime: how parameters are scaled and how the learning rate follows the width."""

    parametrisation: Literal["standard", "ntk"] = Field(
        "standard",
        description="standard: PyTorch's defaults; ntk: unit normal parameters, 1/sqrt(fan_in) in the forward pass.",
    )
    learning_rate: Sweep[PositiveFloat] = Field([0.1])
    scaling: Literal["fixed", "inverse_width"] = Field(
        "fixed", description="inverse_width: the learning rate used is learning_rate / width."
    )
    weight_std: PositiveFloat = Field(
        2.0**0.5, description="ntk parametrisation only: W_std of all layers but the readout (1)."
    )
    bias_std: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        0.1, description="ntk parametrisation only: scale of the biases, which start at 0."
    )
    label: str | None = Field(None, description="Name in figures (cosmetic).")


class _Stream(Section):
    steps: Sweep[Positive] = Field([300], description="Training steps of each task.")


class ClassSplit(_Stream):
    """Each task has classes that no task before it had."""

    kind: Literal["class_split"]
    tasks: Sweep[Positive] = Field([2])
    classes_per_task: Sweep[Positive] = Field([5])
    order_seed: Sweep[Natural | None] = Field(
        [None], description="Seed of the order of classes; null: 0, 1, 2, …"
    )


class Overlap(_Stream):
    """Two tasks that share some of their classes."""

    kind: Literal["overlap"]
    classes: Sweep[Positive] = Field([5], description="Classes of the first task.")
    new_classes: Sweep[Natural] = Field(
        [5], description="Classes of the second task that the first lacks."
    )
    protocol: Sweep[Literal["swap", "add"]] = Field(
        ["swap"], description="swap: new classes replace old ones; add: they join them."
    )
    order_seed: Sweep[Natural | None] = Field([None])


class Frequency(_Stream):
    """Fixed classes whose frequencies shift: D_α = (1−α) D̃0 + α D̃1 (half the classes rare in each)."""

    kind: Literal["frequency"]
    classes: Sweep[Positive] = Field([10])
    epsilon: Sweep[Annotated[float, Field(ge=0, le=1)]] = Field(
        [0.1], description="Frequency of a rare class relative to a common one."
    )
    alpha: Sweep[Literal["stepped", "ramped"]] = Field(
        ["stepped"], description="stepped: α jumps 0→1 at the boundary; ramped: linearly over task 2."
    )
    order_seed: Sweep[Natural | None] = Field([None])


class Relabel(_Stream):
    """The second and later tasks change labels, or inputs under the old labels."""

    kind: Literal["relabel"]
    tasks: Sweep[Positive] = Field([2])
    classes: Sweep[Positive] = Field([5], description="Classes of each task.")
    change: Sweep[Literal["shift", "permute", "inputs"]] = Field(
        ["shift"],
        description="shift: same inputs, labels + classes·task; permute: same inputs, labels permuted; "
        "inputs: new classes under the old labels.",
    )
    order_seed: Sweep[Natural | None] = Field([None])


class Single(_Stream):
    """One task only."""

    kind: Literal["single"]
    classes: Sweep[Positive] = Field([10])
    order_seed: Sweep[Natural | None] = Field([None])


Stream = Annotated[
    ClassSplit | Overlap | Frequency | Relabel | Single, Field(discriminator="kind")
]


class Training(Section):
    """How a task is learnt."""

    optimizer: Sweep[Literal["sgd", "adam"]] = Field(["sgd"])
    momentum: Sweep[Annotated[float, Field(ge=0, lt=1)]] = Field([0.0], description="sgd only.")
    weight_decay: Sweep[Annotated[float, Field(ge=0)]] = Field([0.0])
    schedule: Sweep[Literal["constant", "linear", "cosine"]] = Field(
        ["constant"], description="Learning rate over a task's steps; starts again at each task."
    )
    loss: Sweep[Literal["cross_entropy", "mse"]] = Field(["cross_entropy"])
    batch_size: Sweep[Positive] = Field([64])
    sampling: Sweep[Literal["epochs", "independent"]] = Field(
        ["epochs"],
        description="epochs: a seeded permutation an epoch; independent: each image drawn afresh.",
    )
    precision: Literal["float32", "float64"] = "float32"
    evaluation_samples: Positive = Field(
        200, description="Test images of each task behind the log's loss and accuracy."
    )


class Snapshots(Section):
    """At which steps the parameters are kept."""

    around_boundary: Natural = Field(20, description="Every step, so many before and after.")
    log_spaced: Natural = Field(10, description="Log-spaced steps of each task elsewhere.")


class Probe(Section):
    """The fixed inputs on which kernels are evaluated: training images of one task, class-balanced."""

    samples: Annotated[int, Field(ge=4)] = Field(100)
    task: Positive = Field(1, description="Number of the task, from 1, whose images are used.")
    seed: Natural = 0


class Kernel(Section):
    """Which kernel is taken of each snapshot."""

    kind: Literal["trace", "full", "pseudo"] = "trace"
    by_layer: bool = Field(True, description="Keep the layer NTKs too (kind trace).")
    precision: Literal["float32", "float64"] = "float32"


class Fits(Section):
    """How runs are held against their twins."""

    window: Positive = Field(20, description="Steps after the boundary for the deflection.")
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95


class FigureStyle(Section):
    """Cosmetic: changes the drawing only."""

    width_mm: Annotated[float, Field(ge=80, le=400)] = Field(180.0)
    palette: str = Field("viridis", description="A matplotlib or seaborn sequential palette.")
    font_size: Annotated[float, Field(ge=5, le=14)] = Field(7.0, description="Points.")
    dpi: Annotated[int, Field(ge=72, le=1200)] = Field(300, description="Of the PNG.")


class Resources(Section):
    """What a training or kernel job asks for."""

    threads: Positive = Field(1, description="CPU threads.")
    mem_mb: Positive = Field(3000)
    runtime_minutes: Positive = Field(60)
    gpu: Natural = Field(0, description="GPUs asked of the cluster for a job (0 or 1).")
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    checkpoint_seconds: Annotated[float, Field(ge=0)] = Field(
        30.0, description="Seconds between checkpoints of a running job."
    )
    keep_snapshots: bool = Field(
        True, description="false: snapshots are deleted when every kernel has been taken of them."
    )


class Experiment(Section):
    """A sweep of runs, its analysis and its figure (which has the experiment's name)."""

    analysis: Literal["reactivation"] = Field(description="What is computed and drawn.")
    model: Model
    regimes: Annotated[list[str], Field(min_length=1)] = Field(
        description="Names of sections under `regimes`."
    )
    stream: Stream
    training: Training = Training()
    snapshots: Snapshots = Snapshots()
    probe: Probe = Probe()
    kernel: Kernel = Kernel()
    fits: Fits = Fits()
    figure: FigureStyle = FigureStyle()
    twin: bool = Field(True, description="Train each run's twin: the same stream without the shift.")


class Config(Section):
    """The whole configuration."""

    preset: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")] = Field(
        "digits",
        description="Name of this configuration. Presets other than `digits` draw into figures/{preset}/.",
    )
    dataset: Dataset = Dataset()
    seeds: Annotated[list[Natural], Field(min_length=1)] = Field(
        [0, 1, 2, 3, 4], description="One network each; five or more for an interval."
    )
    regimes: dict[str, Regime]
    experiments: dict[str, Experiment]
    resources: Resources = Resources()
