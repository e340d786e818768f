"""Rule fit_experiment: see ntkscope.fits.fit_experiment."""

from pathlib import Path

from ntkscope.runtime.logs import job_log
from ntkscope.runtime.startup import uncollected_imports

with job_log(snakemake.log[0]):
    with uncollected_imports():
        from ntkscope.fits import fit_experiment
        from ntkscope.runtime.provenance import provenance

    fit_experiment(
        Path(snakemake.input.metrics),
        Path(snakemake.output.fits),
        Path(snakemake.output.table),
        **snakemake.params.settings,
        analysis=snakemake.params.analysis,
        classes=snakemake.params.classes,
        record=provenance(**dict(snakemake.wildcards.items()), **dict(snakemake.params.items())),
    )
