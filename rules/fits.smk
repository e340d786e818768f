# fits: an experiment's metrics → fits.nc and table.csv (runs against their twins, power laws)


rule fit_experiment:
    """Compare every run with its twin, with intervals over seeds, and fit laws over the sweep."""
    input:
        metrics="<experiments>/{experiment}/metrics.nc",
    output:
        fits="<experiments>/{experiment}/fits.nc",
        table="<experiments>/{experiment}/table.csv",
    log:
        "<logs>/fit_experiment/<preset>{experiment}.log",
    benchmark:
        "<benchmarks>/fit_experiment/<preset>{experiment}.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(30),
    params:
        window=experiment_at("fits", "window"),
        confidence=experiment_at("fits", "confidence"),
        analysis=experiment_at("analysis"),
        asked=lambda wildcards: plain(ANALYSES[CONFIG.experiments[wildcards.experiment].analysis]),
        classes=lambda wildcards: len(CELLS[wildcards.experiment][0].run.tasks[0].classes),
        code=code_of("fit_experiment", "fits"),
    script:
        "../scripts/fit_experiment.py"


localrules:
    write_findings,


rule write_findings:
    """Judge every claim of the paper, and our own, by the fits of all experiments."""
    input:
        fits=[f"<experiments>/{name}/fits.nc" for name in DRAWN],
    output:
        csv=report(
            "<results>/<preset>findings.csv",
            caption="../workflow/report/findings.rst",
            category="Findings",
            labels={"table": "verdicts on the paper's claims"},
        ),
        markdown="<results>/<preset>findings.md",
        tex="<results>/<preset>findings.tex",
    log:
        "<logs>/write_findings/<preset>findings.log",
    benchmark:
        "<benchmarks>/write_findings/<preset>findings.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(15),
    params:
        experiments=DRAWN,
        figures=lambda wildcards, output: str(Path(rules.draw.output.pdf).parent),
        confidence=max((CONFIG.experiments[n].fits.confidence for n in DRAWN), default=0.95),
        seeds=len(CONFIG.seeds),
        code=code_of("write_findings", "fits", "ntkscope.fits.findings"),
    script:
        "../scripts/write_findings.py"
