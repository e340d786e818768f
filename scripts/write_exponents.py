"""Rule write_exponents: see ntkscope.fits.limitations.write_exponents."""

from pathlib import Path

from ntkscope.runtime.logs import job_log
from ntkscope.runtime.startup import uncollected_imports

with job_log(snakemake.log[0]):
    with uncollected_imports():
        from ntkscope.fits.limitations.exponents import write_exponents

    write_exponents(
        dict(zip(snakemake.params.experiments, map(Path, snakemake.input.fits), strict=True)),
        Path(snakemake.output.csv),
        Path(snakemake.output.markdown),
        Path(snakemake.output.tex),
    )
