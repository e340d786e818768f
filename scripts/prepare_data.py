"""Rule prepare_data: a dataset's images as one store."""

from pathlib import Path

from ntkscope.config.runs import DatasetSpec
from ntkscope.config.sections import Dataset
from ntkscope.data.prepare import prepare_data
from ntkscope.logs import job_log

job = snakemake  # type: ignore[name-defined]

with job_log(job.log[0]):
    prepare_data(
        Dataset.model_validate(job.params.dataset),
        DatasetSpec.model_validate(job.params.spec),
        output=Path(job.output[0]),
        state=Path(job.params.state),
        identity={"spec": job.params.spec, "stage": job.params.stage},
    )
