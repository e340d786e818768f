# figures: an experiment's metrics and fits → figures/{experiment}.pdf, .png and its caption, .rst
#          what of the network moves         → figures/{experiment}_mechanism.pdf, .png, .rst
#          and the papers that they make up


LABELS = {name: regime.label or name for name, regime in CONFIG.regimes.items()}


rule draw:
    """Draw an experiment's figure; drawn again it is the same to the byte."""
    input:
        metrics="<experiments>/{experiment}/metrics.nc",
        fits="<experiments>/{experiment}/fits.nc",
    output:
        pdf=report("<figures>/<preset>{experiment}.pdf", **shown("effects", "PDF")),
        png=report("<figures>/<preset>{experiment}.png", **shown("effects", "PNG")),
        caption="<figures>/<preset>{experiment}.rst",
    log:
        "<logs>/draw/<preset>{experiment}.log",
    benchmark:
        "<benchmarks>/draw/<preset>{experiment}.tsv"
    wildcard_constraints:
        experiment=only(CONFIG.experiments),
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
        setup=lambda wildcards: setup_in_words(
            [cell.run for cell in CELLS[wildcards.experiment]], SOURCES
        ),
        template=lambda wildcards: template_of(CONFIG.experiments[wildcards.experiment].analysis),
        code=code_of("draw", "figures"),
    script:
        "../scripts/draw.py"


use rule draw as draw_mechanism with:
    """Draw which layers and eigenvectors move in an experiment, and what is forgotten."""
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
        template=template_of("mechanism"),
        code=code_of("draw", "figures"),


use rule draw as draw_curves with:
    """Draw the figure of an experiment of learning curves."""
    input:
        metrics="<experiments>/{experiment}/curves.nc",
        fits="<experiments>/{experiment}/fits.nc",
    log:
        "<logs>/draw_curves/<preset>{experiment}.log",
    benchmark:
        "<benchmarks>/draw_curves/<preset>{experiment}.tsv"
    wildcard_constraints:
        experiment=only(CONFIG.learning_curves),
    params:
        labels={},
        setup="",
        template=lambda wildcards: template_of(
            CONFIG.learning_curves[wildcards.experiment].analysis
        ),


rule reactivation_paper:
    """arXiv 2507.16039: every figure, as PDF and PNG, and a verdict on every claim."""
    input:
        findings_of(["reactivation"] if DRAWN else []),
        [file for name in DRAWN for file in figures_of(name)],


rule limitations_paper:
    """arXiv 2206.10012: every figure, as PDF and PNG, all exponents, and a verdict on every claim."""
    input:
        findings_of(["limitations"] if DRAWN_CURVES else []),
        rules.write_exponents.output,
        [file for name in DRAWN_CURVES for file in figures_of(name)],
