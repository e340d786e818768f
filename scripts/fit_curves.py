"""Rule fit_curves: see ntkscope.fits.limitations.fit_curves."""

from pathlib import Path

from ntkscope.runtime.logs import job_log
from ntkscope.runtime.startup import uncollected_imports

with job_log(snakemake.log[0]):
    with uncollected_imports():
        from ntkscope.fits.limitations.curves import fit_curves
        from ntkscope.runtime.provenance import provenance

    settings = snakemake.params.settings
    fit_curves(
        Path(snakemake.input.curves),
        Path(snakemake.output.fits),
        Path(snakemake.output.table),
        **settings | {"range": tuple(settings["range"])},
        analysis=snakemake.params.analysis,
        record=provenance(**dict(snakemake.wildcards.items()), **dict(snakemake.params.items())),
    )
