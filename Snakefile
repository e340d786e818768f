# ntkscope: the door. `snakemake --cores 8 figures/reactivation.pdf`
# Another workflow comes in through workflow/Snakefile, with `module:`.
from snakemake.utils import min_version

min_version("9.20")

IS_MODULE = not workflow.modifier.is_main_snakefile()


# A module has the default of this workflow, whatever is in the folder of the one that imports it.
configfile: workflow.source_path("config/config.yaml") if IS_MODULE else "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/train.smk"
include: "rules/kernels.smk"
include: "rules/regression.smk"
include: "rules/metrics.smk"
include: "rules/fits.smk"
include: "rules/figures.smk"


rule all:
    """Every figure of this configuration, its findings, and the tables of what has no figure."""
    default_target: True
    input:
        findings_of(PAPERS),
        rules.write_exponents.output if CONFIG.learning_curves else [],
        [file for name in (*DRAWN, *DRAWN_CURVES) for file in figures_of(name)],
        [f"<experiments>/{name}/table.csv" for name in (*TABLES, *CONFIG.learning_curves)],
