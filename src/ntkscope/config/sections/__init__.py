"""The configuration a user writes, one model a section. A list for one value is a sweep.

These models check each value by itself; `expand` checks what values mean together. Imports the
names of the analyses, and nothing else of ntkscope; the names of data sets are looked up when a
value is checked.
"""

from ntkscope.config.sections.base import (
    IDENTIFIER,
    NAME,
    Distinct,
    Name,
    Natural,
    Positive,
    PositiveFloat,
    Section,
    Sweep,
)
from ntkscope.config.sections.data import Dataset
from ntkscope.config.sections.experiment import Config, Experiment, Variant
from ntkscope.config.sections.learning_curves import (
    CurveFits,
    CurvePart,
    CurveSamples,
    Kernels,
    Learning,
    LearningCurves,
    Network,
    ScalarTask,
)
from ntkscope.config.sections.models import (
    CNN,
    CNN5,
    FUNCTION,
    MLP,
    Activation,
    Model,
    Module,
    Myrtle,
    Regime,
)
from ntkscope.config.sections.output import FigureStyle, Fits, Kernel, Probe, Resources
from ntkscope.config.sections.streams import ClassSplit, Frequency, Overlap, Relabel, Single, Stream
from ntkscope.config.sections.training import Snapshots, Training

__all__ = [
    "CNN",
    "CNN5",
    "FUNCTION",
    "IDENTIFIER",
    "MLP",
    "NAME",
    "Activation",
    "ClassSplit",
    "Config",
    "CurveFits",
    "CurvePart",
    "CurveSamples",
    "Dataset",
    "Distinct",
    "Experiment",
    "FigureStyle",
    "Fits",
    "Frequency",
    "Kernel",
    "Kernels",
    "Learning",
    "LearningCurves",
    "Model",
    "Module",
    "Myrtle",
    "Name",
    "Natural",
    "Network",
    "Overlap",
    "Positive",
    "PositiveFloat",
    "Probe",
    "Regime",
    "Relabel",
    "Resources",
    "ScalarTask",
    "Section",
    "Single",
    "Snapshots",
    "Stream",
    "Sweep",
    "Training",
    "Variant",
]
