"""Rule collect_metrics: see ntkscope.fits.collect_metrics."""

from pathlib import Path

from ntkscope.runtime.logs import job_log
from ntkscope.runtime.startup import uncollected_imports

with job_log(snakemake.log[0]):
    with uncollected_imports():
        from ntkscope.fits import collect_metrics
        from ntkscope.runtime.provenance import provenance

    tables = {f"{Path(file).parent.name}/{Path(file).stem}": file for file in snakemake.input}
    cells = [
        cell | {arm: cell[arm] and Path(tables[cell[arm]]) for arm in ("run", "twin")}
        for cell in snakemake.params.cells
    ]
    collect_metrics(
        cells,
        Path(snakemake.output.metrics),
        record=provenance(**dict(snakemake.wildcards.items()), **dict(snakemake.params.items())),
        runs=Path(snakemake.output.runs),
    )
