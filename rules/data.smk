# data: a source of images → results/data/{dataset}.zarr (uint8 images, labels, split, mean and std)


rule prepare_data:
    """Read a dataset from its source, check it, and write it as one Zarr store."""
    output:
        directory("results/data/{dataset}.zarr"),
    log:
        "logs/prepare_data/{dataset}.log",
    benchmark:
        "results/benchmarks/prepare_data/{dataset}.tsv"
    retries: 1
    conda:
        "../environment.yml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        spec=lambda wildcards: next(
            plain(run.dataset) for run in RUNS.values() if run.dataset.id == wildcards.dataset
        ),
        state="results/.state/data/{dataset}",
        stage=stage_digest("data"),
    script:
        "../scripts/prepare_data.py"
