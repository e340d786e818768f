"""The settings beside the files: what the command line changed, and what is of other settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


def changed_on_the_command_line(dag: Any) -> str:
    """What `--config` has put over the files, in YAML; nothing: no change."""
    changed = dag.workflow.config_settings.config
    return yaml.safe_dump(dict(changed), sort_keys=False, allow_unicode=True) if changed else ""


def of_other_settings(dag: Any) -> list[str]:
    """Files that are there, and of which Snakemake knows that they had other parameters."""
    changed = dag.workflow.persistence.params_changed
    made = [(job, file) for job in dag.jobs for file in job.output if Path(file).exists()]
    return sorted(str(file) for job, file in made if changed(job, file=file))
