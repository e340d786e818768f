"""Rule measure_kernels: see ntkscope.metrics.measure_kernels."""

from ntkscope.runtime.forked_job import run_in_fork

run_in_fork()

from pathlib import Path

from ntkscope.runtime.logs import job_log
from ntkscope.runtime.startup import uncollected_imports

with job_log(snakemake.log[0]):
    with uncollected_imports():
        from ntkscope.metrics import measure_kernels
        from ntkscope.runtime.provenance import provenance

    measure_kernels(
        [Path(file) for file in snakemake.input.kernels],
        [Path(file) for file in snakemake.input.snapshots],
        Path(snakemake.output[0]),
        boundaries=snakemake.params.boundaries,
        dt=snakemake.params.dt,
        record=provenance(**dict(snakemake.wildcards.items()), **dict(snakemake.params.items())),
    )
