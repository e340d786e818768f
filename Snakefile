# ntkscope: the door. `snakemake --cores 8 figures/reactivation.pdf`
from snakemake.utils import min_version

min_version("9.20")


configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/train.smk"
include: "rules/kernels.smk"
include: "rules/metrics.smk"
include: "rules/fits.smk"
include: "rules/figures.smk"


rule all:
    """Every figure of this configuration, as PDF and PNG, and the tables of what has no figure."""
    default_target: True
    input:
        [file for name in CONFIG.experiments for file in results_of(name)],
