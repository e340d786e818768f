"""Rule prepare_task: see ntkscope.data.prepare_task."""

from pathlib import Path

from ntkscope.runtime.logs import job_log
from ntkscope.runtime.startup import uncollected_imports

with job_log(snakemake.log[0]):
    with uncollected_imports():
        from ntkscope.config.curve_specs import SampleCounts, ScalarTaskSpec
        from ntkscope.data import prepare_task

    prepare_task(
        ScalarTaskSpec.model_validate(snakemake.params.task),
        SampleCounts.model_validate(snakemake.params.counts),
        Path(snakemake.input.images[0]) if snakemake.input.images else None,
        Path(snakemake.output[0]),
        state=Path(snakemake.params.state),
        stage=snakemake.params.code,
    )
