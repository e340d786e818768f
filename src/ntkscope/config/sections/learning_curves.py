"""The sections of learning curves: test error over the number of training samples."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ntkscope.config.analyses import ANALYSES, TABLE
from ntkscope.config.sections.base import (
    Depth,
    Distinct,
    DistinctOrNone,
    Name,
    Natural,
    NaturalFloat,
    OneOf,
    Positive,
    PositiveFloat,
    Precision,
    Range,
    Scale,
    Section,
    Size,
    Steps,
    Sweep,
)
from ntkscope.config.sections.data import Dataset
from ntkscope.config.sections.models import (
    Activation,
    Initialisation,
    MyrtleKind,
    Parametrisation,
)
from ntkscope.config.sections.output import FigureStyle
from ntkscope.config.sections.texts import Label

CurveLoss = Literal["mse", "logistic"]
Stop = Literal["early", "convergence"]
Criterion = Literal["zero_one", "squared"]
Offset = Literal["subtract", "ignore"]
NetworkKind = Literal["mlp", "cnn", "cnn5", MyrtleKind]
Count = Annotated[int, Field(ge=1, le=10**8)]
"""Samples of a split."""

Samples = Distinct[Count]


def _tasks() -> list[str]:
    from ntkscope.config.tasks import TASKS

    return list(TASKS)


def _analyses() -> list[str]:
    return [name for name, each in ANALYSES.items() if each.of == "curves" or name == TABLE]


class ScalarTask(Section):
    """A task of one target number per sample, each seed with samples of its own."""

    name: Annotated[str, OneOf(_tasks)] = Field("digit_pairs", description="Which task.")
    dataset: Dataset | None = Field(
        None, description="two_groups only: the data set whose classes are told apart."
    )
    positive: Distinct[Natural] | None = Field(
        None, description="two_groups only: the classes with target +1."
    )
    negative: Distinct[Natural] | None = Field(
        None, description="two_groups only: the classes with target −1; null: all others."
    )


class Network(Section):
    """A network of one output, its parametrisation, and its infinite limit."""

    kind: NetworkKind = Field(
        "mlp",
        description="mlp, cnn, cnn5 (5 layers of k, 2k, 4k, 8k channels) or a Myrtle network.",
    )
    depth: Depth = Field(3, description="Hidden layers (mlp), or blocks (cnn).")
    width: Sweep[Size] = Field([64], description="Units or channels; a list is a sweep.")
    activation: Activation = Field("relu", description="Nonlinearity after every layer.")
    bias: bool = Field(True, description="Whether layers have biases.")
    parametrisation: Parametrisation = Field(
        "standard", description="standard, or ntk: unit normal parameters, 1/√fan_in forward."
    )
    initialisation: Initialisation = Field(
        "pytorch",
        description="standard parametrisation only: PyTorch's default, or he (Kaiming uniform of "
        "gain √2, biases 0), without which deep CNNs hardly learn.",
    )
    weight_std: Scale = Field(
        2.0**0.5, description="W_std of the infinite kernel and of the ntk parametrisation."
    )
    bias_std: Annotated[float, Field(ge=0, le=1e3, allow_inf_nan=False)] = Field(
        0.1, description="b_std of the same."
    )


class Learning(Section):
    """How the networks of a learning curve are trained."""

    learning_rate: PositiveFloat = Field(0.02, description="Of SGD, before `scaling`.")
    scaling: Literal["fixed", "inverse_width"] = Field(
        "fixed",
        description="inverse_width: the rate used is min(learning_rate, "
        "learning_rate · full_rate_width / width).",
    )
    full_rate_width: Size = Field(
        64, description="inverse_width only: the width up to which learning_rate is used whole."
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="Heavy ball.")
    weight_decay: NaturalFloat = Field(
        0.0, description="L2 penalty: weight_decay · parameter is added to the gradient."
    )
    batch_size: Positive | None = Field(
        32, description="Samples per step; null: all (gradient descent)."
    )
    loss: CurveLoss = Field(
        "mse", description="mse: (f − y)²; logistic: log(1 + exp(−f y)), for targets ±1."
    )
    epochs: PositiveFloat = Field(60.0, description="Most passes over the training samples…")
    steps_at_least: Steps = Field(3000, description="…but no fewer steps than these.")
    evaluations: Annotated[int, Field(ge=2, le=10**5)] = Field(
        60, description="Log-spaced steps at which the validation error is looked at."
    )
    stop: Stop = Field(
        "early",
        description="early: the parameters of least validation error are kept; convergence: the "
        "last, once the training loss is below converged_loss.",
    )
    patience: Annotated[float, Field(gt=1, le=1e12, allow_inf_nan=False)] = Field(
        5.0, description="early only: ends when step > patience · max(best step, patience_from)."
    )
    patience_from: Natural = Field(400, description="early only: see patience; in steps.")
    converged_loss: PositiveFloat = Field(1e-3, description="convergence only: training loss.")
    snapshots: DistinctOrNone[Steps] = Field(
        [], description="Steps at which the parameters of `snapshot_samples` are kept too."
    )
    snapshot_samples: Positive | None = Field(
        None, description="n of the network of which there are snapshots; null: the most."
    )
    precision: Precision = Field("float32", description="dtype of parameters and arithmetic.")


class CurveSamples(Section):
    """How many samples each curve is made with."""

    network: Samples = Field([250, 500, 1000, 2000, 4000], description="n of the networks.")
    kernel: Samples = Field([250, 500, 1000, 2000, 4000], description="n of kernel regressions.")
    infinite: Samples | None = Field(
        None, description="n of regressions with the infinite kernel; null: as `kernel`."
    )
    trained: Samples | None = Field(
        None, description="n of regressions with kernels after and during training; null: `kernel`."
    )
    validation: Count = Field(1000, description="For early stopping.")
    test: Count = Field(4000, description="Test samples of each seed.")


class Kernels(Section):
    """Which kernels are regressed with, and how."""

    infinite: bool = Field(True, description="K_∞, of the infinitely wide network.")
    initial: DistinctOrNone[Size] | None = Field(
        None, description="K_0 at these widths; null: at the network's own; []: none."
    )
    ensemble: Annotated[int, Field(ge=1, le=1000)] = Field(
        1, description="Initialisations over which K_0 is averaged."
    )
    after: DistinctOrNone[Count] = Field(
        [], description="K_m, after training on so many samples (of samples.network)."
    )
    during: DistinctOrNone[Steps] = Field(
        [], description="K^t, at these steps of training (of learning.snapshots)."
    )
    fits: Distinct[Literal["own", "fresh"]] = Field(
        ["own", "fresh"],
        description="Which samples the last two are regressed on: own, which their network has "
        "learnt, or fresh, which it never saw.",
    )
    by_layer: bool = Field(False, description="Regress with each layer's after-kernel too.")
    criterion: Criterion = Field(
        "zero_one",
        description="Of leave-one-out: the figure's own error (ties: the squared one), or squared. "
        "Tasks of real targets use squared.",
    )
    ridges: Distinct[PositiveFloat] = Field(
        [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0],
        description="The grid, relative to the mean diagonal.",
    )
    leave_one_out_most: Positive = Field(
        2000,
        description="With more samples the ridge chosen with the last n up to this is used: the "
        "same share of the mean diagonal, whatever n.",
    )
    offset: Offset = Field(
        "ignore",
        description="subtract: y − f₀ is regressed and f₀ added again (the linearised network).",
    )
    precision: Precision = Field("float32", description="dtype of the kernels' arithmetic.")


class CurvePart(Section):
    """What one part of an experiment has of its own: each section replaces the experiment's."""

    role: str | None = Field(
        None, description="What it is to the analysis, whatever its name (cosmetic)."
    )
    label: Label | None = Field(None, description="Its name in figures (cosmetic); null: its key.")
    task: ScalarTask = Field(default_factory=ScalarTask, description="Its task.")
    network: Network = Field(default_factory=Network, description="Its network.")
    learning: Learning = Field(default_factory=Learning, description="How it is trained.")
    samples: CurveSamples = Field(default_factory=CurveSamples, description="Its sample numbers.")
    kernels: Kernels = Field(default_factory=Kernels, description="Its kernels.")


class CurveFits(Section):
    """How exponents are fitted."""

    range: Range = Field(
        [500, 4000], description="Least and most n of every fit, the same for all curves."
    )
    error_at_most: PositiveFloat = Field(
        0.4, description="Points above (near chance) are left out and named."
    )
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = Field(
        0.95, description="Level of every interval over seeds."
    )


class LearningCurves(CurvePart):
    """An experiment of learning curves, its analysis and its figure (of the same name)."""

    analysis: Annotated[str, OneOf(_analyses)] = Field(
        description="Which figure, see below; table: the curves and fits of any, without a figure."
    )
    like: Name | None = Field(
        None,
        description="Another experiment of learning curves, whose task, network, learning, samples "
        "and kernels are this one's where it gives none.",
    )
    parts: dict[Name, CurvePart] = Field(
        {}, description="Parts that differ in whole sections; none: the experiment is one part."
    )
    absent: Literal["refuse", "leave_out"] = Field(
        "refuse",
        description="A part whose data set's files are not on this machine: refuse, or leave it "
        "out and say so.",
    )
    fits: CurveFits = Field(CurveFits(), description="How exponents are fitted.")
    figure: FigureStyle = Field(FigureStyle(), description="Looks of the figure (cosmetic).")
