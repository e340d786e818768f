# data: a source of images → results/data/{dataset}.zarr (uint8 images, labels, split, mean and std)
#       these, or nothing  → results/tasks/{task}.zarr (samples and targets of every seed)


AT_START.append(lambda: refuse_absent_data(workflow.dag.needrun_jobs()))


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


rule prepare_task:
    """Draw the samples of a task of learning curves, of every seed, and write them as one store."""
    input:
        images=lambda wildcards: [
            f"<results>/data/{task.dataset.id}.zarr"
            for task, _ in [known(TASKS, wildcards.task, "task")]
            if task.dataset
        ],
    output:
        directory("<results>/tasks/{task}.zarr"),
    log:
        "<logs>/prepare_task/{task}.log",
    benchmark:
        "<benchmarks>/prepare_task/{task}.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(60),
    params:
        task=lambda wildcards: plain(TASKS[wildcards.task][0]),
        counts=lambda wildcards: plain(TASKS[wildcards.task][1]),
        state=state_of,
        code=code_of("prepare_task", "data", "ntkscope.data.tasks"),
    script:
        "../scripts/prepare_task.py"
