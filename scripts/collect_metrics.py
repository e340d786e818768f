"""Rule collect_metrics: see ntkscope.fits.collect_metrics."""

from pathlib import Path

from ntkscope.runtime.logs import job_log
from ntkscope.runtime.startup import uncollected_imports

with job_log(snakemake.log[0]):
    with uncollected_imports():
        from ntkscope.fits import collect_metrics
        from ntkscope.runtime.provenance import provenance

    files = snakemake.input.metrics
    cells = [
        cell
        | {arm: None if cell[arm] is None else Path(files[cell[arm]]) for arm in ("run", "twin")}
        for cell in snakemake.params.cells
    ]
    collect_metrics(
        cells,
        Path(snakemake.output[0]),
        record=provenance(**dict(snakemake.wildcards.items()), **dict(snakemake.params.items())),
    )
