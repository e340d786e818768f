# missed: what Snakemake (9.27) takes for up to date, and is not: files deleted from the middle, and
#         tables of other settings that are not those of its records
from functools import cache
from itertools import chain
from math import inf
from pathlib import Path

from ntkscope.stores.origin import is_made_with
from ntkscope.stores.pictures import is_whole

TABLES_BY_NAME = {"collect_metrics", "collect_curves", "fit_experiment", "fit_curves"}
"""Rules whose tables are named by an experiment, where runs are named by all that changes them."""

DRAWN_BY_NAME = {"draw", "draw_mechanism", "draw_curves", "write_findings", "write_exponents"}
"""Rules whose files are named so, too, and do not say of which settings they are."""

TRAINING = {"prepare_data", "prepare_task", "train_task", "train_networks"}
"""Rules whose files training begins with, or ends with."""

SAME_DATE = 2
"""Seconds; archives keep dates without fractions."""


def was_made(file):
    """Whether Snakemake has a record of it: of runs, whose names say so, with these settings."""
    return workflow.persistence.metadata(file) is not None


def because(words, jobs):
    """Why jobs are made again, for who tells it (src/snakemake_logger_plugin_ntkscope)."""
    return {"because": {str(file): words for job in jobs for file in job.output}}


def made_elsewhere(dag):
    """The jobs of tables that Snakemake has no record of, or of another date, if they say themselves
    that they are of other settings: as where results/ was copied without .snakemake, or over another.
    And those of figures and findings older than its record, put back where newer ones were, and of
    figures that are cut."""

    def newer_record(file):
        record = workflow.persistence.metadata(file)
        return (record.endtime or 0) - Path(file).stat().st_mtime if record else inf

    def is_of_others(job):
        settings = dict(job.params.items())
        return not all(is_made_with(Path(table), settings) for table in unknown[job])

    def there(rules):
        jobs = [job for job in dag.jobs if job.rule.name in rules]
        return {job: [file for file in job.output if Path(file).exists()] for job in jobs}

    unknown = {
        job: [f for f in files if f.endswith(".nc") and abs(newer_record(f)) > SAME_DATE]
        for job, files in there(TABLES_BY_NAME).items()
    }
    put_back = [
        job
        for job, files in there(DRAWN_BY_NAME).items()
        if any(SAME_DATE < newer_record(f) < inf or not is_whole(Path(f)) for f in files)
    ]
    others = [*filter(is_of_others, unknown), *put_back]
    if others:
        compared = sum(map(bool, unknown.values())) + len(put_back)
        logger.info(
            "Tables and figures that were made elsewhere or with other settings or code, or are "
            f"damaged, are made again ({len(others)} of {compared}); runs are taken as they are.",
            extra=because("made elsewhere", others),
        )
    return others


def lacking(job):
    """The files of a job that are not there, but for those that are used up."""
    return [file for file in job.output if file not in job.temp_output and not Path(file).exists()]


def tell_of_lost(dag):
    """Files that are gone and stay so, since only training makes them again."""
    lost = sorted(
        file
        for job in dag.jobs
        if not dag.needrun(job)
        and any(Path(file).exists() for later in dag.depending[job] for file in later.output)
        for file in lacking(job)
    )
    if lost:
        logger.info(
            f"Not there any more, and made again by training only: {_first(lost)}\n"
            "  (to have them again: ask for them by name, or delete what was made of them)"
        )


def gone_from_the_middle(dag):
    """The jobs of files that later ones were made of, gone while these are there: Snakemake would
    not miss them. What only training makes again, or what follows from it, is left to be asked for
    by name."""
    is_there = cache(lambda file: Path(file).exists())

    @cache
    def is_makable(job):
        makers = {file: maker for maker, files in dag.dependencies[job].items() for file in files}
        return job.rule.name not in TRAINING and all(
            is_there(file) or (file in makers and is_makable(makers[file])) for file in job.input
        )

    @cache
    def is_makable_with_all_that_follows(job):
        later = (each for each in dag.depending[job] if each.output)
        return is_makable(job) and all(map(is_makable_with_all_that_follows, later))

    gone = {
        job: lacking(job)
        for job in dag.jobs
        if lacking(job)
        and any(map(is_there, chain(job.output, *(later.output for later in dag.depending[job]))))
        and is_makable_with_all_that_follows(job)
    }
    if files := sorted(file for each in gone.values() for file in each):
        deleted = list(filter(was_made, files))
        what = "Deleted since, and made again" if deleted else "Not there, and to be made"
        logger.info(
            f"{what}, with what was made of it: {_first(deleted or files)}\n"
            "  (to leave it: --config 'resources={remake_deleted: false}')"
        )
    return list(gone)


def _first(files):
    more = f" and {len(files) - 1} more" if files[1:] else ""
    return f"{files[0]}{more}"


def missing(dag):
    """Why files are not there, each: Snakemake only says that they are missing."""
    files = (file for job in dag.jobs for file in job.output if not Path(file).exists())
    return {
        str(file): "file was deleted" if was_made(file) else "not made yet with these settings"
        for file in files
    }


def build_and_look(build=getattr(workflow, "_build_dag", None)):
    """Make again, too, what Snakemake (9.27) does not miss."""
    dag, check = workflow.dag, workflow.dag.check_incomplete

    async def check_more():
        asked = set(dag.forcefiles)
        await check()
        begun = {str(file): "file is incomplete" for file in dag.forcefiles - asked}
        logger.info("", extra={"because": (missing(dag) if workflow.dryrun else {}) | begun})
        deleted = gone_from_the_middle(dag) if CONFIG.resources.remake_deleted else []
        again = [*made_elsewhere(dag), *deleted]
        dag.forcefiles.update(file for job in again for file in job.output)

    dag.check_incomplete = check_more
    build()
    tell_of_lost(dag)
    if workflow.dryrun:  # which does not come to the checks at the start
        try:
            refuse_absent_data(dag.needrun_jobs())
        except WorkflowError as error:
            logger.info(f"A run would end before its first job:\n{error}")


if workflow.is_main_process and IS_WHOLE:
    if hasattr(workflow, "_build_dag"):
        workflow._build_dag = build_and_look
    else:
        logger.warning(
            "This version of Snakemake is newer than the workflow: deleted files in the middle, and "
            "tables that were made elsewhere, are not looked for."
        )
