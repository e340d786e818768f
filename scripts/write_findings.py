"""Rule write_findings: see ntkscope.fits.findings.write_findings."""

from pathlib import Path

from ntkscope.runtime.logs import job_log
from ntkscope.runtime.startup import uncollected_imports

with job_log(snakemake.log[0]):
    with uncollected_imports():
        from ntkscope.fits.findings import write_findings
        from ntkscope.runtime.provenance import provenance

    names = snakemake.params.experiments
    repeated = map(Path, snakemake.input.repeated)
    write_findings(
        dict(zip(names, map(Path, snakemake.input.fits), strict=True)),
        Path(snakemake.output.csv),
        Path(snakemake.output.markdown),
        Path(snakemake.output.tex),
        paper=snakemake.wildcards.paper,
        figures=snakemake.params.figures,
        confidence=snakemake.params.confidence,
        record=provenance(),
        repeated=dict(zip(names, repeated, strict=False)),
    )
