"""What the Snakefile says of itself: its figures, tables, stages, presets (rules/terminal.smk)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDERS = ("results/", "figures/")
"""How a file that is asked for by name begins."""


@dataclass(frozen=True)
class Figure:
    """A figure: its files, the first of which is named; the table of its numbers; its paper."""

    files: Sequence[str]
    table: str
    paper: str


@dataclass(frozen=True)
class Study:
    """What can be asked for.

    Attributes:
        preset: name of the configuration.
        figures: name → figure.
        findings: paper → table of its verdicts.
        targets: rules that can be asked for by name.
        stages: rules that cannot, since they make a file each time → the pattern of that file.
        presets: name → its file.
        benchmarks: folder of the benchmark files.
        gone: finds the files that what was asked for was made of, and that are not there any more.
    """

    preset: str = ""
    figures: Mapping[str, Figure] = field(default_factory=dict)
    findings: Mapping[str, str] = field(default_factory=dict)
    targets: Sequence[str] = ()
    stages: Mapping[str, str] = field(default_factory=dict)
    presets: Mapping[str, str] = field(default_factory=dict)
    benchmarks: str = "results/benchmarks"
    gone: Callable[[], Sequence[str]] = list

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Study:
        """From plain values."""
        figures = {name: Figure(**each) for name, each in facts["figures"].items()}
        return cls(**{**facts, "figures": figures})

    def requested(self, words: Sequence[str]) -> dict[str, Figure]:
        """The figures that a command line asks for; all where it names no target of this study."""
        requested = {Path(word).as_posix() for word in words}
        named = {
            name: each
            for name, each in self.figures.items()
            if requested & set(each.files) or f"{each.paper}_paper" in requested
        }
        other = any("/" in word and word.startswith(FOLDERS) for word in requested)
        return named if named or other else dict(self.figures)
