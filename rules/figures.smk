# figures: an experiment's metrics and fits → figures/{experiment}.pdf, .png and its caption, .rst
#          what of the network moves         → figures/{experiment}_mechanism.pdf, .png, .rst


LABELS = {name: regime.label or name for name, regime in CONFIG.regimes.items()}
SHOWN = {"caption": "../workflow/report/figure.rst", "category": "Figures"}


rule draw:
    """Draw an experiment's figure; drawn again it is the same to the byte."""
    input:
        metrics=f"{EXPERIMENTS}/{{experiment}}/metrics.nc",
        fits=f"{EXPERIMENTS}/{{experiment}}/fits.nc",
        template=lambda wildcards: "workflow/report/{}.rst".format(
            CONFIG.experiments[wildcards.experiment].analysis
        ),
    output:
        pdf=report(
            f"{FIGURES}/{{experiment}}.pdf",
            labels={"experiment": "{experiment}", "figure": "effects", "file": "PDF"},
            **SHOWN,
        ),
        png=report(
            f"{FIGURES}/{{experiment}}.png",
            labels={"experiment": "{experiment}", "figure": "effects", "file": "PNG"},
            **SHOWN,
        ),
        caption=f"{FIGURES}/{{experiment}}.rst",
    log:
        f"logs/draw/{PRESET}{{experiment}}.log",
    benchmark:
        f"results/benchmarks/draw/{PRESET}{{experiment}}.tsv"
    retries: 1
    conda:
        "../environment.yml"
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        analysis=lambda wildcards: CONFIG.experiments[wildcards.experiment].analysis,
        style=lambda wildcards: plain(CONFIG.experiments[wildcards.experiment].figure),
        labels=LABELS,
        figure="effects",
        stage=stage_digest("figures"),
    script:
        "../scripts/draw.py"


use rule draw as draw_mechanism with:
    # Which layers and eigenvectors move in an experiment, and what is forgotten.
    input:
        metrics=f"{EXPERIMENTS}/{{experiment}}/metrics.nc",
        fits=f"{EXPERIMENTS}/{{experiment}}/fits.nc",
        template="workflow/report/mechanism.rst",
    output:
        pdf=report(
            f"{FIGURES}/{{experiment}}_mechanism.pdf",
            labels={"experiment": "{experiment}", "figure": "mechanism", "file": "PDF"},
            **SHOWN,
        ),
        png=report(
            f"{FIGURES}/{{experiment}}_mechanism.png",
            labels={"experiment": "{experiment}", "figure": "mechanism", "file": "PNG"},
            **SHOWN,
        ),
        caption=f"{FIGURES}/{{experiment}}_mechanism.rst",
    log:
        f"logs/draw_mechanism/{PRESET}{{experiment}}.log",
    benchmark:
        f"results/benchmarks/draw_mechanism/{PRESET}{{experiment}}.tsv"
    params:
        analysis=lambda wildcards: CONFIG.experiments[wildcards.experiment].analysis,
        style=lambda wildcards: plain(CONFIG.experiments[wildcards.experiment].figure),
        labels=LABELS,
        figure="mechanism",
        stage=stage_digest("figures"),
