# metrics: kernels of all tasks of a run → results/runs/{run}/metrics-{kernel}.nc
#          metrics of all runs of an experiment → …/experiments/{experiment}/metrics.nc, runs.csv


rule measure_kernels:
    """Norm, distance, velocity and alignment of a run's kernels, over all its tasks."""
    input:
        kernels=lambda wildcards: [
            kernels_of(run, kernel_at(wildcards)) for run in run_at(wildcards).lineage
        ],
        snapshots=lambda wildcards: [snapshots_of(run) for run in run_at(wildcards).lineage],
    output:
        "<runs>/{run}/metrics-{kernel}.nc",
    log:
        "<logs>/measure_kernels/{run}/{kernel}.log",
    benchmark:
        "<benchmarks>/measure_kernels/{run}/{kernel}.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=lambda wildcards, attempt: attempt
        * megabytes_to_measure(run_at(wildcards), kernel_at(wildcards)),
        runtime=grows(30),
    params:
        boundaries=lambda wildcards: list(run_at(wildcards).boundaries),
        dt=1,
        code=code_of("measure_kernels", "metrics"),
    script:
        "../scripts/measure_kernels.py"


rule collect_metrics:
    """Put the metrics of all runs of an experiment into one dataset over the sweep's axes."""
    input:
        metrics=lambda wildcards: [f"<runs>/{name}.nc" for name in METRICS[wildcards.experiment]],
    output:
        metrics="<experiments>/{experiment}/metrics.nc",
        runs="<experiments>/{experiment}/runs.csv",
    log:
        "<logs>/collect_metrics/<preset>{experiment}.log",
    benchmark:
        "<benchmarks>/collect_metrics/<preset>{experiment}.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(30),
    params:
        cells=cells_of_experiment,
        code=code_of("collect_metrics", "fits", "ntkscope.fits.collect"),
    script:
        "../scripts/collect_metrics.py"


rule collect_curves:
    """Put the learning curves of all parts of an experiment into one table."""
    input:
        networks=lambda wildcards: sorted(
            {networks_of(each.networks) for each in CURVES[wildcards.experiment]}
        ),
        regressions=lambda wildcards: sorted(
            {
                regression_of(spec)
                for each in CURVES[wildcards.experiment]
                for spec in each.regressions
            }
        ),
    output:
        "<experiments>/{experiment}/curves.nc",
    log:
        "<logs>/collect_curves/<preset>{experiment}.log",
    benchmark:
        "<benchmarks>/collect_curves/<preset>{experiment}.tsv"
    wildcard_constraints:
        experiment=only(CURVES),
    conda:
        "../environment.yml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(30),
    params:
        parts=parts_of_experiment,
        analysis=experiment_at("analysis"),
        code=code_of("collect_curves", "fits", "ntkscope.fits.limitations.collect"),
    script:
        "../scripts/collect_curves.py"
