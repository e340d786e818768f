# data: a source of images → results/data/{dataset}.zarr (uint8 images, labels, split, mean and std)


rule prepare_data:
    """Read a dataset from its source, check it, and write it as one Zarr store."""
    output:
        directory("<results>/data/{dataset}.zarr"),
    log:
        "<logs>/prepare_data/{dataset}.log",
    benchmark:
        "<benchmarks>/prepare_data/{dataset}.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(60),
    params:
        spec=lambda wildcards: plain(known(DATASETS, wildcards.dataset, "dataset")),
        source=lambda wildcards, output: plain(SOURCES[wildcards.dataset]),
        state=state_of,
        code=code_of("prepare_data", "data"),
    script:
        "../scripts/prepare_data.py"
