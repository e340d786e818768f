# regression: a task's samples, networks → results/regressions/{regression}.zarr (test errors of kernels)


rule regress_kernels:
    """Kernel regressions on nested numbers of samples, each kernel computed once."""
    input:
        task=lambda wildcards: samples_of(known(REGRESSIONS, wildcards.regression, "regression")),
        networks=lambda wildcards: [
            networks_of(spec.networks)
            for spec in [REGRESSIONS[wildcards.regression]]
            if spec.networks
        ],
    output:
        directory("<results>/regressions/{regression}.zarr"),
    log:
        "<logs>/regress_kernels/{regression}.log",
    benchmark:
        "<benchmarks>/regress_kernels/{regression}.tsv"
    conda:
        "../environment.yml"
    threads: CONFIG.resources.threads
    resources:
        mem_mb=grows(CONFIG.resources.mem_mb),
        runtime=grows(CONFIG.resources.runtime_minutes),
        gpu=CONFIG.resources.gpu,
    params:
        regression=lambda wildcards: plain(REGRESSIONS[wildcards.regression]),
        machine=machine,
        state=state_of,
        code=code_of("regress_kernels", "regression"),
    script:
        "../scripts/regress_kernels.py"
