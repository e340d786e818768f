"""Why jobs of a dry run would run: Snakemake's reasons, in few words and counted by stage."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field

_KINDS = (
    ("Missing output files", "file is missing"),
    ("Incomplete", "file is incomplete"),
    ("Forced execution", "asked for"),
    ("Code has changed", "its code has changed"),
    ("Set of input files has changed", "other inputs"),
    ("Updated input files", "an input is newer"),
    ("Input files updated by another job", "an input is made again"),
)
_PARAMS = re.compile(r"Params have changed.*?: before: (.*?) now: (.*?) *(?:;|$)")
_DIGEST = re.compile(r"'[0-9a-f]{12}'")
_SHORT = 20


@dataclass
class Reasons:
    """The jobs that would run, by stage and reason."""

    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, stage: str, reason: str, known: str = "") -> None:
        """One job more; `known`: the workflow's own words, where Snakemake knows less."""
        vague = reason.startswith(("Forced", "Missing output files"))
        self.counts[stage][known if known and vague else in_few_words(reason)] += 1

    def table(self) -> list[str]:
        """Lines: stage, how many jobs, why; then their sum."""
        width = max(map(len, (*self.counts, "stage")))
        lines = [f"{'stage':{width}}  jobs  why", f"{'-' * width}  ----  {'-' * 30}"]
        for stage, counts in self.counts.items():
            several = len(counts) > 1
            why = ", ".join(
                f"{words} ({count})" if several else words for words, count in counts.most_common()
            )
            lines.append(f"{stage:{width}}  {counts.total():4}  {why}")
        total = sum(each.total() for each in self.counts.values())
        return [*lines, f"{'total':{width}}  {total:4}"]


def in_few_words(reason: str) -> str:
    """The first cause of those that Snakemake gives, as it would be said."""
    if "Missing output files" not in reason and (changed := _PARAMS.search(reason)):
        before, now = changed.groups()
        if _DIGEST.fullmatch(before) and _DIGEST.fullmatch(now):
            return "its code has changed"
        short = max(len(before), len(now)) <= _SHORT
        return f"a setting was {before}, is {now}" if short else "its settings have changed"
    for start, words in _KINDS:
        if start in reason:
            return words
    return reason.partition(":")[0].lower() or "asked for"
