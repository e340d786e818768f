# train: images, the parent's snapshots → results/runs/{run}/snapshots.zarr (parameters and log)
#        a task's samples               → results/networks/{networks}/networks.zarr
#
# A run's store holds its last task; its parent's holds the one before. Runs that begin with the
# same tasks (a run and its twin) share that training.


AT_START.append(lambda: refuse_wrong_networks(workflow.dag.needrun_jobs()))


rule train_task:
    """Train all seeds of a run on its last task, going on from its parent's end."""
    input:
        images=lambda wildcards: images_of(run_at(wildcards)),
        parent=lambda wildcards: [snapshots_of(run) for run in run_at(wildcards).lineage[-2:-1]],
    output:
        snapshots_output("<runs>/{run}/snapshots.zarr"),
    log:
        "<logs>/train_task/{run}.log",
    benchmark:
        "<benchmarks>/train_task/{run}.tsv"
    conda:
        "../environment.yml"
    threads: CONFIG.resources.threads
    resources:
        mem_mb=grows(CONFIG.resources.mem_mb),
        runtime=grows(CONFIG.resources.runtime_minutes),
        gpu=CONFIG.resources.gpu,
    params:
        run=lambda wildcards: plain(run_at(wildcards)),
        machine=machine,
        state=state_of,
        code=code_of("train_task", "training"),
    script:
        "../scripts/train_task.py"


rule train_networks:
    """Train the networks of a learning curve: every seed on every number of samples."""
    input:
        task=lambda wildcards: samples_of(known(NETWORKS, wildcards.networks, "networks")),
    output:
        directory("<results>/networks/{networks}/networks.zarr"),
    log:
        "<logs>/train_networks/{networks}.log",
    benchmark:
        "<benchmarks>/train_networks/{networks}.tsv"
    conda:
        "../environment.yml"
    threads: CONFIG.resources.threads
    resources:
        mem_mb=grows(CONFIG.resources.mem_mb),
        runtime=grows(CONFIG.resources.runtime_minutes),
        gpu=CONFIG.resources.gpu,
    params:
        networks=lambda wildcards: plain(NETWORKS[wildcards.networks]),
        machine=machine,
        state=state_of,
        code=code_of("train_networks", "training", "ntkscope.training.learning_curve"),
    script:
        "../scripts/train_networks.py"
