# missed: what Snakemake (9.27) takes for up to date, and is not: files deleted from the middle, and
#         tables of other settings of which it has no record
from functools import cache
from pathlib import Path

from ntkscope.stores.origin import is_made_with

TABLES_BY_NAME = {"collect_metrics", "collect_curves", "fit_experiment", "fit_curves"}
"""Rules whose tables are named by an experiment, where runs are named by all that changes them."""

TRAINING = {"prepare_data", "prepare_task", "train_task", "train_networks"}
"""Rules whose files training begins with, or ends with."""


def made_elsewhere(dag):
    """The jobs of tables of which Snakemake has no record, as where results/ was copied without
    .snakemake, if they say themselves that they are of other settings: it would take any."""

    def is_of_others(job):
        tables = [Path(file) for file in job.output if file.endswith(".nc") and Path(file).exists()]
        return not all(is_made_with(table, dict(job.params.items())) for table in tables)

    jobs = [job for job in dag.jobs if job.rule.name in TABLES_BY_NAME]
    unknown = [job for job in jobs if not workflow.persistence.has_metadata(job)]
    others = [job for job in unknown if is_of_others(job)]
    if others:
        logger.info(
            "Tables and figures that were made elsewhere, with other settings or code, "
            f"are made again ({len(others)} of {len(unknown)}); runs are taken as they are."
        )
    return others


def gone_from_the_middle(dag):
    """The jobs of files that later ones were made of, gone while these are there: Snakemake would
    not miss them. What only training makes again is left to be asked for by name."""
    is_there = cache(lambda file: Path(file).exists())

    @cache
    def is_makable(job):
        makers = {file: maker for maker, files in dag.dependencies[job].items() for file in files}
        return job.rule.name not in TRAINING and all(
            is_there(file) or (file in makers and is_makable(makers[file])) for file in job.input
        )

    def lacking(job):
        return [file for file in job.output if file not in job.temp_output and not is_there(file)]

    gone = {
        job: lacking(job)
        for job in dag.jobs
        if any(is_there(file) for later in dag.depending[job] for file in later.output)
        and lacking(job)
        and is_makable(job)
    }
    if files := sorted(file for each in gone.values() for file in each):
        more = f" and {len(files) - 1} more" if files[1:] else ""
        logger.info(
            f"Deleted, and to be made again with what was made of it: {files[0]}{more}\n"
            "  (not so with --config 'resources={remake_deleted: false}')"
        )
    return list(gone)


def build_and_look(build=getattr(workflow, "_build_dag", None)):
    """Make again, too, what Snakemake (9.27) does not miss."""
    dag, check = workflow.dag, workflow.dag.check_incomplete

    async def check_more():
        await check()
        deleted = gone_from_the_middle(dag) if CONFIG.resources.remake_deleted else []
        again = [*made_elsewhere(dag), *deleted]
        dag.forcefiles.update(file for job in again for file in job.output)

    dag.check_incomplete = check_more
    build()


if workflow.is_main_process and IS_WHOLE:
    if hasattr(workflow, "_build_dag"):
        workflow._build_dag = build_and_look
    else:
        logger.warning(
            "This version of Snakemake is newer than the workflow: deleted files in the middle, and "
            "tables that were made elsewhere, are not looked for."
        )
