"""The sections of what is made of a run: kernels, fits, figures; and of what a job asks for."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ntkscope.config.sections.base import Positive, Precision, Section, Seed

KernelKind = Literal["trace", "full", "pseudo"]


class Probe(Section):
    """The fixed inputs on which kernels are evaluated: images of one task, class-balanced."""

    samples: Annotated[int, Field(ge=4, le=10**6)] = Field(
        100, description="Images N; a kernel has N × N entries (full: NK × NK)."
    )
    task: Positive = Field(1, description="Number of the task, from 1, whose images are used.")
    seed: Seed = Field(0, description="Seed of the choice of images.")


class Kernel(Section):
    """Which kernel is computed of each snapshot."""

    kind: KernelKind = Field(
        "trace",
        description="trace: mean over outputs; full: every pair of outputs; "
        "pseudo: of the summed logits / √K.",
    )
    by_layer: bool = Field(True, description="Keep the layer NTKs too (kind trace).")
    precision: Precision = Field("float32", description="dtype of the kernel's arithmetic.")


class Fits(Section):
    """How runs are compared with their twins."""

    window: Positive = Field(
        20,
        description="Steps that count as before a boundary, its own the last, and as just after.",
    )
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
        300, description="Resolution of the PNG, in dots per inch."
    )


class Resources(Section):
    """What a training or kernel job asks for."""

    threads: Annotated[int, Field(ge=1, le=1024)] = Field(1, description="CPU threads of a job.")
    mem_mb: Annotated[int, Field(ge=1, le=10**8)] = Field(
        3000,
        description="Memory of a job, in MB; a large kernel is computed in tiles that fit.",
    )
    runtime_minutes: Annotated[int, Field(ge=1, le=10**6)] = Field(
        60, description="Time limit of a job, in minutes."
    )
    gpu: Annotated[int, Field(ge=0, le=1)] = Field(
        0, description="GPUs that a job requests of the cluster."
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="Where tensors live; auto: a GPU if there is one."
    )
    checkpoint_seconds: Annotated[float, Field(ge=0, le=86400, allow_inf_nan=False)] = Field(
        30.0, description="Seconds between checkpoints of a running job."
    )
    kernel_jobs: Annotated[int, Field(ge=1, le=1000)] = Field(
        1, description="Number of jobs that share each kernel of a run; the values are the same."
    )
    fork_jobs: bool = Field(
        True,
        description="Jobs on this machine are forks of a process that has imported torch (Linux); "
        "false: each imports it.",
    )
    keep_snapshots: bool = Field(
        True, description="false: snapshots are deleted when all their kernels are computed."
    )
    remake_deleted: bool = Field(
        True,
        description="Kernels, metrics and tables that were deleted, and not what was made of them, "
        "are made again with their figure; false: only when something needs them.",
    )
