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


TESTED = [name for name, each in CONFIG.experiments.items() if each.analysis != "table"]


rule findings:
    """Judge every claim of the paper, and our own, by the fits of all experiments."""
    input:
        fits=[f"{EXPERIMENTS}/{name}/fits.nc" for name in TESTED],
    output:
        csv=f"results/{PRESET}findings.csv",
        markdown=f"results/{PRESET}findings.md",
        tex=f"results/{PRESET}findings.tex",
    log:
        f"logs/findings/{PRESET}findings.log",
    benchmark:
        f"results/benchmarks/findings/{PRESET}findings.tsv"
    retries: 1
    conda:
        "../environment.yml"
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        experiments=TESTED,
        figures=FIGURES,
        confidence=max((CONFIG.experiments[n].fits.confidence for n in TESTED), default=0.95),
        stage=stage_digest("fits", "ntkscope.fits.findings"),
    script:
        "../scripts/write_findings.py"
