"""Rules draw and draw_mechanism: see ntkscope.figures.draw_figure."""

from pathlib import Path

from ntkscope.runtime.logs import job_log
from ntkscope.runtime.startup import uncollected_imports

with job_log(snakemake.log[0]):
    with uncollected_imports():
        from ntkscope.config.sections import FigureStyle
        from ntkscope.figures import draw_figure

    draw_figure(
        snakemake.params.analysis,
        Path(snakemake.input.metrics),
        Path(snakemake.input.fits),
        template=snakemake.params.template,
        pdf=Path(snakemake.output.pdf),
        png=Path(snakemake.output.png),
        caption=Path(snakemake.output.caption),
        style=FigureStyle.model_validate(snakemake.params.style),
        labels=snakemake.params.labels,
        figure=snakemake.params.figure,
        setup=snakemake.params.setup,
    )
