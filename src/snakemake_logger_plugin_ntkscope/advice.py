"""What an error of Snakemake means in this workflow, and what to do about it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

from ntkscope.config.diagnostics.documents import read_document
from ntkscope.errors import ConfigError
from ntkscope.runtime.head import head_in_words
from ntkscope.runtime.nearest import did_you_mean, nearest
from snakemake_logger_plugin_ntkscope.study import Study

_PLACE = re.compile(r"^\w+(?:Error|Exception)(?: in .*)?:\n")
_MISSING = re.compile(r"^No rule to produce (.+?) \(if you use input functions", re.MULTILINE)
_LOST_CONFIG = re.compile(r"No such file or directory: '([^']+\.ya?ml)'")
_YAML = ("*.yaml", "*.yml", "config/*.yaml")
_INNER = re.compile(r"^\s*\w+Error:\n(.*?)(?=^Wildcards:|^Traceback:|\Z)", re.MULTILINE | re.DOTALL)
_FRAME = re.compile(r'^ +File ".*", line \d+, in .*\n?', re.MULTILINE)
_CONSTRAINT = re.compile(r"{(\w+),[^{}]*(?:{[^{}]*}[^{}]*)*}|{(\w+)}")
_RENAMED = {"take_kernels": "compute_kernels", "train": "train_task"}
"""Names of stages that were, or are often meant."""


def explain(message: str, words: Sequence[str], study: Study) -> str:
    """An error of Snakemake in the words of this workflow.

    Args:
        message: Snakemake's message.
        words: the command line.
        study: what can be asked for.
    """
    if missing := _MISSING.search(message):
        return wrong_target(missing[1], study, words)
    if "Target rules may not contain wildcards" in message:
        stages = [stage_by_name(word, study, words) for word in words if word in study.stages]
        return "\n".join(stages) or message
    if "is not valid JSON or YAML" in message or "must be given as JSON or YAML" in message:
        return unreadable(words) or message
    if lost := _LOST_CONFIG.search(message):
        return no_configuration(lost[1])
    if "Directory cannot be locked" in message and (head := head_in_words()):
        return f"{head}\n  to do: give the same command once it has ended (nothing was run)"
    if "  to do: " in message or "this configuration has no" in message:
        return _ours(message)
    return message


def wrong_target(target: str, study: Study, words: Sequence[str] = ()) -> str:
    """No rule makes what was asked for: what was meant, and what there is."""
    if target in study.stages:
        return stage_by_name(target, study, words)
    if target in _RENAMED:
        stage = _RENAMED[target]
        return f"{target}: did you mean {stage!r}?\n{stage_by_name(stage, study, words)}"
    folder = target.rpartition("/")[0]
    preset = folder.removeprefix("figures/")
    if folder.startswith("figures/") and preset != study.preset:
        return _of_preset(target, preset, study)
    files = [file for each in study.figures.values() for file in each.files]
    known = [*files, *study.targets, *study.stages, *study.findings.values()]
    drawn = {Path(file).suffix for file in files}
    if folder.split("/")[0] == "figures" or Path(target).suffix in drawn:
        # a figure is meant, whatever else is spelt alike
        known = files
    meant = nearest(target, known)
    lines = [f"nothing makes {target}{did_you_mean(target, known)}"]
    if meant in study.stages:
        lines += stage_by_name(str(meant), study, words).splitlines()
    lines += _wrapped("figures", [each.files[0] for each in study.figures.values()])
    lines += _wrapped("by name", study.targets)
    return "\n".join(lines)


def stage_by_name(stage: str, study: Study, words: Sequence[str] = ()) -> str:
    """A stage was asked for as if it were a target."""
    figure = next(iter(each.files[0] for each in study.figures.values()), "all")
    return (
        f"{stage} is a stage, which makes a file for each run or experiment: which one?\n"
        f"  to do: snakemake --cores all {figure} --until {stage}{_configured(words)}\n"
        f"     or: ask for one of its files, {_CONSTRAINT.sub(_in_angles, study.stages[stage])}"
    )


def _configured(words: Iterable[str]) -> str:
    """The options of a command line that say which configuration is run."""
    files = [word.rpartition("=")[2] for word in words if word.endswith((".yaml", ".yml"))]
    alone = [word for word in words if word.startswith("--replace-")]
    return "".join(f" {word}" for word in [*(["--configfile", *files] if files else []), *alone])


def unreadable(words: Iterable[str]) -> str:
    """Which file is not YAML, or no mapping of keys to values, and where; nothing if all are."""
    named = [Path(word) for word in words if word.endswith((".yaml", ".yml"))]
    for file in (*named, Path("config/config.yaml")):
        try:
            read_document(file)
        except ConfigError as error:
            return str(error)
    return ""


def no_configuration(file: str) -> str:
    """A configuration that is not there."""
    there = [each.as_posix() for pattern in _YAML for each in sorted(Path().glob(pattern))]
    same = {Path(each).name: each for each in there}
    return (
        f"there is no such configuration{did_you_mean(same.get(file, file), there)}\n"
        f"  where: {file}\n  to do: name a YAML file after --configfile"
    )


def _of_preset(target: str, preset: str, study: Study) -> str:
    if preset in study.presets:
        return (
            f"{target} is a figure of the preset {preset!r}, and this run has the preset "
            f"{study.preset!r}\n"
            f"  to do: snakemake --cores all {target} --configfile {study.presets[preset]}"
        )
    lines = [f"there is no preset {preset!r}{did_you_mean(preset, study.presets)}"]
    lines += _wrapped("presets", [f"{name} ({file})" for name, file in study.presets.items()])
    return "\n".join(lines)


def _ours(message: str) -> str:
    """A message of our own without what Snakemake put around it."""
    message = _FRAME.sub("", message)
    inner = _INNER.search(message)
    if inner:
        return textwrap.dedent(inner[1]).strip()
    return textwrap.dedent(_PLACE.sub("", message)).strip()


def _in_angles(wildcard: re.Match[str]) -> str:
    return f"<{wildcard[1] or wildcard[2]}>"


def _wrapped(head: str, items: Sequence[str]) -> list[str]:
    if not items:
        return []
    text = f"  {head}: {', '.join(items)}"
    return textwrap.wrap(
        text, 98, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
