# fits: an experiment's metrics → fits.nc and table.csv (runs against their twins, power laws)


rule fit_experiment:
    """Hold every run against its twin, with intervals over seeds, and fit laws over the sweep."""
    input:
        metrics=f"{EXPERIMENTS}/{{experiment}}/metrics.nc",
    output:
        fits=f"{EXPERIMENTS}/{{experiment}}/fits.nc",
        table=f"{EXPERIMENTS}/{{experiment}}/table.csv",
    log:
        f"logs/fit_experiment/{PRESET}{{experiment}}.log",
    benchmark:
        f"results/benchmarks/fit_experiment/{PRESET}{{experiment}}.tsv"
    retries: 1
    conda:
        "../environment.yml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        window=lambda wildcards: CONFIG.experiments[wildcards.experiment].fits.window,
        confidence=lambda wildcards: CONFIG.experiments[wildcards.experiment].fits.confidence,
        analysis=lambda wildcards: CONFIG.experiments[wildcards.experiment].analysis,
        classes=lambda wildcards: len(CELLS[wildcards.experiment][0].run.tasks[0].classes),
        stage=stage_digest("fits"),
    script:
        "../scripts/fit_experiment.py"
