# fits: an experiment's metrics → fits.nc and table.csv (runs against their twins, power laws)


rule fit_experiment:
    """Compare every run with its twin, with intervals over seeds, and fit laws over the sweep."""
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
        asked=lambda wildcards: plain(ANALYSES[CONFIG.experiments[wildcards.experiment].analysis]),
        classes=lambda wildcards: len(CELLS[wildcards.experiment][0].run.tasks[0].classes),
        stage=stage_digest("fits"),
    script:
        "../scripts/fit_experiment.py"


rule write_findings:
    """Judge every claim of the paper, and our own, by the fits of all experiments."""
    input:
        fits=[f"{EXPERIMENTS}/{name}/fits.nc" for name in DRAWN],
    output:
        csv=report(
            f"results/{PRESET}findings.csv",
            caption="../workflow/report/findings.rst",
            category="Findings",
            labels={"table": "verdicts on the paper's claims"},
        ),
        markdown=f"results/{PRESET}findings.md",
        tex=f"results/{PRESET}findings.tex",
    log:
        f"logs/write_findings/{PRESET}findings.log",
    benchmark:
        f"results/benchmarks/write_findings/{PRESET}findings.tsv"
    retries: 1
    conda:
        "../environment.yml"
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        experiments=DRAWN,
        figures=FIGURES,
        confidence=max((CONFIG.experiments[n].fits.confidence for n in DRAWN), default=0.95),
        stage=stage_digest("fits", "ntkscope.fits.findings"),
    script:
        "../scripts/write_findings.py"
