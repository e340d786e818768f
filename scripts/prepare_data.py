"""Rule prepare_data: see ntkscope.data.prepare_data."""

from pathlib import Path

from ntkscope.runtime.logs import job_log
from ntkscope.runtime.startup import uncollected_imports

with job_log(snakemake.log[0]):
    with uncollected_imports():
        from ntkscope.config import DatasetSpec
        from ntkscope.config.sections import Dataset
        from ntkscope.data import prepare_data

    prepare_data(
        Dataset.model_validate(snakemake.params.source),
        DatasetSpec.model_validate(snakemake.params.spec),
        output=Path(snakemake.output[0]),
        state=Path(snakemake.params.state),
        identity={"spec": snakemake.params.spec, "stage": snakemake.params.code},
    )
