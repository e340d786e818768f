# kernels: images, snapshots → results/runs/{run}/kernels-{kernel}.zarr (NTK of every snapshot)


rule take_kernels:
    """Take the exact NTK of every snapshot of a run's task on the probe."""
    input:
        images=lambda wildcards: images_of(run_at(wildcards)),
        snapshots="results/runs/{run}/snapshots.zarr",
    output:
        directory("results/runs/{run}/kernels-{kernel}.zarr"),
    log:
        "logs/take_kernels/{run}/{kernel}.log",
    benchmark:
        "results/benchmarks/take_kernels/{run}/{kernel}.tsv"
    retries: 1
    conda:
        "../environment.yml"
    threads: CONFIG.resources.threads
    resources:
        mem_mb=CONFIG.resources.mem_mb,
        runtime=CONFIG.resources.runtime_minutes,
        gpu=CONFIG.resources.gpu,
    params:
        run=lambda wildcards: plain(run_at(wildcards)),
        kernel=lambda wildcards: plain(known(KERNELS, wildcards.kernel, "kernel")),
        state="results/.state/runs/{run}/kernels-{kernel}",
        stage=stage_digest("kernels"),
    script:
        "../scripts/take_kernels.py"
