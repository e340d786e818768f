# figures: an experiment's metrics and fits → figures/{experiment}.pdf, .png and its caption, .rst


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
            caption="../workflow/report/figure.rst",
            category="Figures",
            labels={"experiment": "{experiment}"},
        ),
        png=f"{FIGURES}/{{experiment}}.png",
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
        labels={name: regime.label or name for name, regime in CONFIG.regimes.items()},
        stage=stage_digest("figures"),
    script:
        "../scripts/draw.py"
