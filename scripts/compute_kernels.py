"""Rules compute_kernels and compute_kernels_part: see ntkscope.kernels.compute_kernels."""

from ntkscope.runtime.forked_job import run_in_fork

run_in_fork()

from pathlib import Path

from ntkscope.runtime.logs import job_log
from ntkscope.runtime.startup import uncollected_imports

with job_log(snakemake.log[0]):
    with uncollected_imports():
        from ntkscope.config import KernelSpec, RunSpec
        from ntkscope.config.sections import Resources
        from ntkscope.kernels import compute_kernels
        from ntkscope.runtime.allocation import retain_freed_memory

    retain_freed_memory(block=2**30, total=2**31 - 1)  # the process is the job's own
    settings = Resources.model_validate(snakemake.params.machine)
    compute_kernels(
        RunSpec.model_validate(snakemake.params.run),
        KernelSpec.model_validate(snakemake.params.kernel),
        Path(snakemake.input.images),
        Path(snakemake.input.snapshots),
        Path(snakemake.output[0]),
        state=Path(snakemake.params.state),
        stage=snakemake.params.code,
        device=settings.device,
        threads=snakemake.threads,
        memory=settings.mem_mb * 10**6,
        part=snakemake.params.part,
        parts=[Path(part) for part in snakemake.input.get("parts", [])],
    )
