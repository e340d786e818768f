# terminal: what the study can be asked for, told to the logger plugin that shows a run
#           (src/snakemake_logger_plugin_ntkscope); other loggers are told nothing

from ntkscope.cli.presets import DEFAULT, preset_of


def figure_facts(name):
    """A figure's files, the table of its numbers, and its paper."""
    curves = name in CURVES
    files = [*(rules.draw_curves if curves else rules.draw).output[:2]]
    tables = (rules.fit_curves if curves else rules.fit_experiment).output
    return {
        "files": [file.format(experiment=name) for file in files],
        "table": tables.table.format(experiment=name),
        "paper": paper_of(name),
    }


def mechanism_facts(name):
    """The same of the figure of what moves."""
    files = [file.format(experiment=name) for file in rules.draw_mechanism.output[:2]]
    return {**figure_facts(name), "files": files}


def gone_files():
    """Files that what was asked for was made of, gone since: those that no training begins with."""
    trained = {"prepare_data", "prepare_task", "train_task", "train_networks"}
    jobs = [job for job in workflow.dag.jobs if job.rule.name not in trained]
    files = {file for job in jobs for file in job.output if file not in job.temp_output}
    return sorted(file for file in files if not Path(file).exists())


if workflow.is_main_process and IS_WHOLE:
    logger.info(
        "",
        extra={
            "study": {
                "preset": CONFIG.preset,
                "figures": {
                    **{name: figure_facts(name) for name in (*DRAWN, *DRAWN_CURVES)},
                    **{f"{name}_mechanism": mechanism_facts(name) for name in DRAWN},
                },
                "findings": {
                    paper: rules.write_findings.output.markdown.format(paper=paper)
                    for paper in PAPERS
                },
                "targets": [each.name for each in workflow.rules if not each.has_wildcards()],
                "stages": {
                    each.name: str(each.output[0])
                    for each in workflow.rules
                    if each.has_wildcards()
                },
                "presets": {
                    preset_of([file]) if file == DEFAULT else file.stem: str(file)
                    for file in sorted(Path("config").glob("*.yaml"))
                },
                "benchmarks": (
                    str(Path(rules.draw.benchmark).parent.parent)
                    if not PRESET
                    else "results/benchmarks"
                ),
                "gone": gone_files,
            }
        },
    )

if ABSENT and workflow.is_main_process:
    logger.info(f"left out, for want of their files: {', '.join(ABSENT)}")
