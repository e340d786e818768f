"""Rule collect_curves: see ntkscope.fits.limitations.collect."""

from pathlib import Path

from ntkscope.runtime.logs import job_log
from ntkscope.runtime.startup import uncollected_imports

with job_log(snakemake.log[0]):
    with uncollected_imports():
        from ntkscope.fits.limitations.collect import collect_curves
        from ntkscope.runtime.provenance import provenance

    networks = {Path(file).parent.name: Path(file) for file in snakemake.input.networks}
    regressions = {Path(file).stem: Path(file) for file in snakemake.input.regressions}
    parts = [dict(part) for part in snakemake.params.parts]
    for part in parts:
        part["networks"] = networks[part["networks"]]
        part["regressions"] = [
            each | {"path": regressions[each["regression"]]} for each in part["regressions"]
        ]
    collect_curves(
        parts,
        Path(snakemake.output[0]),
        record=provenance(**dict(snakemake.wildcards.items()), **dict(snakemake.params.items())),
    )
