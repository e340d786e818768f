"""Rule regress_kernels: see ntkscope.regression.regress_kernels."""

from ntkscope.runtime.forked_job import run_in_fork

run_in_fork()

from pathlib import Path

from ntkscope.runtime.logs import job_log
from ntkscope.runtime.startup import uncollected_imports

with job_log(snakemake.log[0]):
    with uncollected_imports():
        from ntkscope.config.curve_specs import RegressionSpec
        from ntkscope.config.sections import Resources
        from ntkscope.regression import regress_kernels

    settings = Resources.model_validate(snakemake.params.machine)
    regress_kernels(
        RegressionSpec.model_validate(snakemake.params.regression),
        Path(snakemake.input.task),
        Path(snakemake.input.networks[0]) if snakemake.input.networks else None,
        Path(snakemake.output[0]),
        state=Path(snakemake.params.state),
        stage=snakemake.params.code,
        device=settings.device,
        threads=snakemake.threads,
        memory=settings.mem_mb * 10**6,
    )
