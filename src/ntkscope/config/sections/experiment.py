"""The sections of experiments, and the whole configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ntkscope.config.analyses import OF_STREAMS
from ntkscope.config.sections.base import Distinct, Name, Positive, Section, Seed
from ntkscope.config.sections.data import Dataset
from ntkscope.config.sections.learning_curves import LearningCurves
from ntkscope.config.sections.models import MLP, Model, Regime
from ntkscope.config.sections.output import FigureStyle, Fits, Kernel, Probe, Resources
from ntkscope.config.sections.streams import ClassSplit, Stream
from ntkscope.config.sections.training import Snapshots, Training


class Variant(Section):
    """What one part of an experiment has of its own: each section here replaces the experiment's.

    A section that is not given has a default that is never used: `model_fields_set` tells.
    """

    dataset: Dataset = Field(
        default_factory=Dataset,
        description="Where its samples come from; `root` and `download` are the configuration's "
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
    role: str | None = Field(
        None,
        description="What it is to the analysis, whatever its name (cosmetic); see the "
        "roles of each; null: nothing special.",
    )


if TYPE_CHECKING:
    AnalysisName = str
else:
    AnalysisName = Literal[OF_STREAMS]


class Experiment(Section):
    """A sweep of runs, its analysis and its figure (which has the experiment's name)."""

    analysis: AnalysisName = Field(
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
    seeds: Distinct[Seed] | None = Field(
        None, description="One network per seed; null: those of the whole configuration."
    )
    seeds_per_run: Positive | None = Field(
        None, description="Seeds trained together; null: as many as in the whole configuration."
    )
    training: Training = Field(Training(), description="How a task is learnt.")
    snapshots: Snapshots = Field(Snapshots(), description="When parameters are kept.")
    probe: Probe = Field(Probe(), description="The inputs on which kernels are evaluated.")
    kernel: Kernel = Field(Kernel(), description="Which kernel is computed.")
    fits: Fits = Field(Fits(), description="How runs are compared with their twins.")
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
    dataset: Dataset = Field(Dataset(), description="Where the samples come from.")
    seeds: Distinct[Seed] = Field(
        [0, 1, 2, 3, 4], description="One network per seed; five or more for an interval."
    )
    seeds_per_run: Positive = Field(
        5,
        description="Seeds of an experiment that are trained together, as one run: the first so "
        "many, the next, and so on; seeds that are added at the end leave full runs as they are.",
    )
    regimes: dict[Name, Regime] = Field(
        {}, description="Learning regimes, by the names experiments call them."
    )
    experiments: dict[Name, Experiment] = Field(
        {}, description="Experiments by name; a figure has its experiment's name."
    )
    learning_curves: dict[Name, LearningCurves] = Field(
        {}, description="Experiments of test error over samples, by name; figures likewise."
    )
    check_rounding: bool = Field(
        False,
        description="Train everything a second time, each batch summed in reverse order: the same "
        "mathematics, other rounding. A claim whose two verdicts differ is `not resolved`.",
    )
    resources: Resources = Field(Resources(), description="What a job asks for (cosmetic).")
