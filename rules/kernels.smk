# kernels: images, snapshots → results/runs/{run}/kernels-{kernel}.zarr (NTK of every snapshot)
#
# With resources.kernel_jobs above 1, so many part jobs first fill a store each, beside each other;
# compute_kernels then joins them. The kernels are the same to the byte, however many jobs made them.


scattergather:
    kernels=CONFIG.resources.kernel_jobs,


PART = "<runs>/{run}/kernels-{kernel}.parts/{scatteritem}.zarr"


rule compute_kernels:
    """Take the exact NTK of every snapshot of a run's task on the probe."""
    input:
        images=lambda wildcards: images_of(run_at(wildcards)),
        snapshots="<runs>/{run}/snapshots.zarr",
        parts=gather.kernels(PART, allow_missing=True) if CONFIG.resources.kernel_jobs > 1 else [],
    output:
        directory("<runs>/{run}/kernels-{kernel}.zarr"),
    log:
        "<logs>/compute_kernels/{run}/{kernel}.log",
    benchmark:
        "<benchmarks>/compute_kernels/{run}/{kernel}.tsv"
    conda:
        "../environment.yml"
    threads: CONFIG.resources.threads
    resources:
        mem_mb=grows(CONFIG.resources.mem_mb),
        runtime=grows(CONFIG.resources.runtime_minutes),
        gpu=CONFIG.resources.gpu,
    params:
        run=lambda wildcards: plain(run_at(wildcards)),
        kernel=lambda wildcards: plain(kernel_at(wildcards)),
        part=(0, 1),
        machine=machine,
        state=state_of,
        code=code_of("compute_kernels", "kernels"),
    script:
        "../scripts/compute_kernels.py"


use rule compute_kernels as compute_kernels_part with:
    """Take every n-th block of snapshots (of a large kernel: every n-th tile), beside the others."""
    input:
        images=lambda wildcards: images_of(run_at(wildcards)),
        snapshots="<runs>/{run}/snapshots.zarr",
    output:
        temp(directory(PART)),
    log:
        "<logs>/compute_kernels_part/{run}/{kernel}-{scatteritem}.log",
    benchmark:
        "<benchmarks>/compute_kernels_part/{run}/{kernel}-{scatteritem}.tsv"
    params:
        part=part_at,
