# ntkscope: the door. `snakemake --cores 8 figures/reactivation.pdf`; modules: workflow/Snakefile
from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")

IS_MODULE = not workflow.modifier.is_main_snakefile()
# A module that is given all that its importer has, as of `ntkscope new`, is told like a workflow.
IS_WHOLE = not IS_MODULE or config == workflow.modifier_stack[0].globals.get("config")
HAS_CONFIG = not IS_MODULE and Path("config/config.yaml").exists()


# Elsewhere, and as a module, it has its own default and makes its results where it is started.
configfile: "config/config.yaml" if HAS_CONFIG else workflow.source_path("config/config.yaml")


report: "workflow/report/workflow.rst"


include: "rules/common.smk"
include: "rules/missed.smk"
include: "rules/data.smk"
include: "rules/train.smk"
include: "rules/kernels.smk"
include: "rules/regression.smk"
include: "rules/metrics.smk"
include: "rules/fits.smk"
include: "rules/figures.smk"
include: "rules/terminal.smk"


rule all:
    """Every figure of this configuration, its findings, and the tables of what has no figure."""
    default_target: True
    input:
        findings_of(PAPERS),
        rules.write_exponents.output if CONFIG.learning_curves else [],
        [file for name in (*DRAWN, *DRAWN_CURVES) for file in figures_of(name)],
        [f"<experiments>/{name}/table.csv" for name in (*TABLES, *CONFIG.learning_curves)],
