# metrics: kernels of all tasks of a run → results/runs/{run}/metrics-{kernel}.nc
#          metrics of all runs of an experiment → …/experiments/{experiment}/metrics.nc


rule measure_kernels:
    """Norm, distance, velocity and alignment of a run's kernels, over all its tasks."""
    input:
        kernels=lambda wildcards: [
            kernels_of(run, known(KERNELS, wildcards.kernel, "kernel"))
            for run in run_at(wildcards).lineage
        ],
        snapshots=lambda wildcards: [snapshots_of(run) for run in run_at(wildcards).lineage],
    output:
        "results/runs/{run}/metrics-{kernel}.nc",
    log:
        "logs/measure_kernels/{run}/{kernel}.log",
    benchmark:
        "results/benchmarks/measure_kernels/{run}/{kernel}.tsv"
    retries: 1
    conda:
        "../environment.yml"
    resources:
        mem_mb=lambda wildcards: megabytes_to_measure(
            run_at(wildcards), known(KERNELS, wildcards.kernel, "kernel")
        ),
        runtime=30,
    params:
        boundaries=lambda wildcards: list(run_at(wildcards).boundaries),
        dt=1,
        stage=stage_digest("metrics"),
    script:
        "../scripts/measure_kernels.py"


rule collect_metrics:
    """Put the metrics of all runs of an experiment into one dataset over the sweep's axes."""
    input:
        metrics=metrics_of_experiment,
    output:
        f"{EXPERIMENTS}/{{experiment}}/metrics.nc",
    log:
        f"logs/collect_metrics/{PRESET}{{experiment}}.log",
    benchmark:
        f"results/benchmarks/collect_metrics/{PRESET}{{experiment}}.tsv"
    retries: 1
    conda:
        "../environment.yml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        cells=cells_of_experiment,
        stage=stage_digest("fits", "ntkscope.fits.collect"),
    script:
        "../scripts/collect_metrics.py"
