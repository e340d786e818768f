"""Configuration: typed sections, sweeps, the runs they expand to, and their identities.

`load_config` turns what the user wrote into a `Config`; `expand` turns an experiment of it into
`Cell`s, each a `RunSpec` (and its twin's) at one point of the sweep.
Imports `errors`, `identity` and of `runtime` what is light.
"""

from ntkscope.runtime.imports import need_extra

need_extra("workflow", __name__, "pydantic", "yaml")

from ntkscope.config.expand import datasets_of, expand, runs_of
from ntkscope.config.load import load_config, load_files
from ntkscope.config.sections import Config, Experiment
from ntkscope.config.specs import DatasetSpec, KernelSpec, RunSpec, Task
from ntkscope.config.sweep_checks import Cell
from ntkscope.config.variants import without_absent

__all__ = [
    "Cell",
    "Config",
    "DatasetSpec",
    "Experiment",
    "KernelSpec",
    "RunSpec",
    "Task",
    "datasets_of",
    "expand",
    "load_config",
    "load_files",
    "runs_of",
    "without_absent",
]
