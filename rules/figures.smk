# figures: an experiment's metrics and fits → figures/{experiment}.pdf, .png and its caption, .rst
#          what of the network moves         → figures/{experiment}_mechanism.pdf, .png, .rst

from snakemake.io import sourcecache_entry

LABELS = {name: regime.label or name for name, regime in CONFIG.regimes.items()}


def shown(figure, kind):
    """How the report shows a file of a figure."""
    return {
        "caption": "../workflow/report/figure.rst",
        "category": "Figures",
        "labels": {"experiment": "{experiment}", "figure": figure, "file": kind},
    }


def template_of(analysis):
    """The caption's template, recorded among a figure's inputs by its place in the workflow."""
    file = workflow.source_path(f"../workflow/report/{analysis}.rst")
    return sourcecache_entry(str(file), f"workflow/report/{analysis}.rst")


def drawn_by(analysis):
    """The code behind a figure, and its caption's template: text counts, not its time stamp."""
    template = Path(template_of(analysis)).read_text(encoding="utf-8")
    return digest([code_of("draw", "figures"), template])


rule draw:
    """Draw an experiment's figure; drawn again it is the same to the byte."""
    input:
        metrics="<experiments>/{experiment}/metrics.nc",
        fits="<experiments>/{experiment}/fits.nc",
        template=ancient(
            lambda wildcards: template_of(CONFIG.experiments[wildcards.experiment].analysis)
        ),
    output:
        pdf=report("<figures>/<preset>{experiment}.pdf", **shown("effects", "PDF")),
        png=report("<figures>/<preset>{experiment}.png", **shown("effects", "PNG")),
        caption="<figures>/<preset>{experiment}.rst",
    log:
        "<logs>/draw/<preset>{experiment}.log",
    benchmark:
        "<benchmarks>/draw/<preset>{experiment}.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(15),
    params:
        figure="effects",
        analysis=experiment_at("analysis"),
        style=experiment_at("figure"),
        labels=LABELS,
        code=lambda wildcards: drawn_by(CONFIG.experiments[wildcards.experiment].analysis),
    script:
        "../scripts/draw.py"


use rule draw as draw_mechanism with:
    # Which layers and eigenvectors move in an experiment, and what is forgotten.
    input:
        metrics="<experiments>/{experiment}/metrics.nc",
        fits="<experiments>/{experiment}/fits.nc",
        template=ancient(template_of("mechanism")),
    output:
        pdf=report("<figures>/<preset>{experiment}_mechanism.pdf", **shown("mechanism", "PDF")),
        png=report("<figures>/<preset>{experiment}_mechanism.png", **shown("mechanism", "PNG")),
        caption="<figures>/<preset>{experiment}_mechanism.rst",
    log:
        "<logs>/draw_mechanism/<preset>{experiment}.log",
    benchmark:
        "<benchmarks>/draw_mechanism/<preset>{experiment}.tsv"
    params:
        figure="mechanism",
        code=drawn_by("mechanism"),
