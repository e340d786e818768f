# fits: an experiment's metrics → fits.nc and table.csv (runs against their twins, power laws)
#
# Settings are one param, a dict: Snakemake compares the values of params, without their names, so that
# two numbers that were exchanged would be no change.


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
    wildcard_constraints:
        experiment=only(CELLS),
    conda:
        "../environment.yml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(30),
    params:
        settings=experiment_at("fits"),
        analysis=experiment_at("analysis"),
        declared=lambda wildcards: plain(ANALYSES[CHECKED[wildcards.experiment]["analysis"]]),
        classes=lambda wildcards: len(CELLS[wildcards.experiment][0].run.tasks[0].classes),
        code=code_of("fit_experiment", "fits"),
    script:
        "../scripts/fit_experiment.py"


rule fit_curves:
    """Fit the exponent of every learning curve, one per seed, and compare curves in pairs."""
    input:
        curves="<experiments>/{experiment}/curves.nc",
    output:
        fits="<experiments>/{experiment}/fits.nc",
        table="<experiments>/{experiment}/table.csv",
    log:
        "<logs>/fit_curves/<preset>{experiment}.log",
    benchmark:
        "<benchmarks>/fit_curves/<preset>{experiment}.tsv"
    wildcard_constraints:
        experiment=only(CURVES),
    conda:
        "../environment.yml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(30),
    params:
        settings=experiment_at("fits"),
        analysis=experiment_at("analysis"),
        code=code_of("fit_curves", "fits", "ntkscope.fits.limitations.curves"),
    script:
        "../scripts/fit_curves.py"


localrules:
    write_exponents,
    write_findings,


rule write_exponents:
    """The exponents of all learning curves, and their differences, as one table."""
    input:
        fits=[f"<experiments>/{name}/fits.nc" for name in CONFIG.learning_curves],
    output:
        csv=report(
            "<results>/<preset>exponents.csv",
            caption="../workflow/report/exponents.rst",
            category="Findings",
            labels={"table": "exponents of all learning curves"},
        ),
        markdown="<results>/<preset>exponents.md",
        tex="<results>/<preset>exponents.tex",
    log:
        "<logs>/write_exponents/<preset>exponents.log",
    benchmark:
        "<benchmarks>/write_exponents/<preset>exponents.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(15),
    params:
        experiments=list(CONFIG.learning_curves),
        code=code_of("write_exponents", "fits", "ntkscope.fits.limitations.exponents"),
    script:
        "../scripts/write_exponents.py"


rule write_findings:
    """Judge every claim of a paper, and our own, by the fits of its experiments."""
    input:
        fits=lambda wildcards: fits_of(PAPERS[wildcards.paper]),
        repeated=lambda wildcards: (
            fits_of(REPEATED + name for name in PAPERS[wildcards.paper])
            if CONFIG.check_rounding
            else []
        ),
    output:
        csv=report(
            "<results>/<preset>findings/{paper}.csv",
            caption="../workflow/report/findings.rst",
            category="Findings",
            labels={"table": "verdicts on the claims of {paper}"},
        ),
        markdown="<results>/<preset>findings/{paper}.md",
        tex="<results>/<preset>findings/{paper}.tex",
    log:
        "<logs>/write_findings/<preset>{paper}.log",
    benchmark:
        "<benchmarks>/write_findings/<preset>{paper}.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(15),
    params:
        experiments=lambda wildcards: PAPERS[wildcards.paper],
        figures=lambda wildcards, output: str(Path(rules.draw.output.pdf).parent),
        confidence=lambda wildcards: max(
            CHECKED[name]["fits"]["confidence"] for name in PAPERS[wildcards.paper]
        ),
        check_rounding=CONFIG.check_rounding,
        code=code_of("write_findings", "fits", "ntkscope.fits.findings"),
    script:
        "../scripts/write_findings.py"
