# kernels: images, snapshots → results/runs/{run}/kernels-{kernel}.zarr (NTK of every snapshot)
#
# With resources.kernel_jobs above 1, so many part jobs first fill one store beside each other, each
# its own chunks; take_kernels then finds it, sees that nothing is missing, and moves it to its place.


rule take_kernels_part:
    """Take every n-th block of snapshots (of a large kernel: every n-th tile), beside the others."""
    input:
        images=lambda wildcards: images_of(run_at(wildcards)),
        snapshots="results/runs/{run}/snapshots.zarr",
    output:
        temp(touch("results/.state/runs/{run}/kernels-{kernel}-part{part}of{parts}")),
    log:
        "logs/take_kernels_part/{run}/{kernel}-part{part}of{parts}.log",
    benchmark:
        "results/benchmarks/take_kernels_part/{run}/{kernel}-part{part}of{parts}.tsv"
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
        "../scripts/take_kernels_part.py"


rule take_kernels:
    """Take the exact NTK of every snapshot of a run's task on the probe."""
    input:
        images=lambda wildcards: images_of(run_at(wildcards)),
        snapshots="results/runs/{run}/snapshots.zarr",
        parts=parts_of_kernels,
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
