"""Rule train_networks: see ntkscope.training.train_networks."""

from ntkscope.runtime.forked_job import run_in_fork

run_in_fork()

from pathlib import Path

from ntkscope.runtime.logs import job_log
from ntkscope.runtime.startup import uncollected_imports

with job_log(snakemake.log[0]):
    with uncollected_imports():
        from ntkscope.config.curve_specs import NetworksSpec
        from ntkscope.config.sections import Resources
        from ntkscope.runtime.allocation import retain_freed_memory
        from ntkscope.training import train_networks

    retain_freed_memory(block=2**30, total=2**31 - 1)  # the process is the job's own
    settings = Resources.model_validate(snakemake.params.machine)
    train_networks(
        NetworksSpec.model_validate(snakemake.params.networks),
        Path(snakemake.input.task),
        Path(snakemake.output[0]),
        state=Path(snakemake.params.state),
        stage=snakemake.params.code,
        device=settings.device,
        threads=snakemake.threads,
        checkpoint_seconds=settings.checkpoint_seconds,
    )
