"""A copy of the workflow with a tiny preset, and the `snakemake` that runs in it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FOLDERS = ("rules", "scripts", "config", "profiles", "workflow", "src")
FILES = ("Snakefile", *(file.name for file in ROOT.glob("environment.*")))

MINI = ROOT / "config/test/mini.yaml"
_WHOLE = yaml.safe_load(MINI.read_text(encoding="utf-8")) | {"preset": "digits"}
TINY: dict[str, Any] = {key: _WHOLE[key] for key in _WHOLE if key != "learning_curves"}
"""The mini preset as the default, whose paths are short; without learning curves."""

CURVES: dict[str, Any] = {key: _WHOLE[key] for key in ("preset", "seeds", "learning_curves")}
"""The same with learning curves alone."""

EVERYTHING = "--logger-ntkscope-everything"
"""Each job with its files, in Snakemake's own words."""

ALL_JOBS = {
    "prepare_data": 1,
    "train_task": 6,
    "compute_kernels": 6,
    "measure_kernels": 4,
    "collect_metrics": 1,
    "fit_experiment": 1,
    "write_findings": 1,
    "draw": 1,
    "draw_mechanism": 1,
}
"""What `TINY` takes when nothing is there."""


@dataclass(frozen=True)
class Project:
    """A working folder with a copy of the workflow and the library."""

    root: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    """More of the environment."""

    @classmethod
    def make(cls, root: Path, config: Mapping[str, Any] | None = TINY) -> Project:
        """Copy workflow and library to `root`; `config` replaces the default preset, if given."""
        for folder in FOLDERS:
            no_caches = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / folder, root / folder, ignore=no_caches)
        for file in FILES:
            shutil.copy2(ROOT / file, root)
        project = cls(root)
        if config is not None:
            project.configure(config)
        return project

    def copy(self, root: Path) -> Project:
        """Another project with all that was made here, as old as it is here."""
        shutil.copytree(self.root, root)
        return Project(root, self.variables)

    @property
    def config(self) -> Any:
        """The default preset, as read from its file."""
        return yaml.safe_load((self.root / "config/config.yaml").read_text(encoding="utf-8"))

    def configure(self, config: Mapping[str, Any]) -> None:
        """Write the default preset."""
        text = yaml.safe_dump(dict(config), sort_keys=False)
        (self.root / "config/config.yaml").write_text(text, encoding="utf-8")

    def change(self, key: str, value: Any) -> None:
        """Set one key of the default preset: `change("dataset.root", "elsewhere")`."""
        config = section = self.config
        *sections, last = key.split(".")
        for name in sections:
            section = section.setdefault(name, {})
        section[last] = value
        self.configure(config)

    def append(self, file: str, text: str) -> None:
        """Add text at the end of one of the workflow's files."""
        with (self.root / file).open("a", encoding="utf-8") as handle:
            handle.write(text)

    @property
    def environment(self) -> dict[str, str]:
        """Jobs and the Snakefile import the library of this copy."""
        plain = {k: v for k, v in os.environ.items() if not k.startswith(("SNAKEMAKE", "PYTEST"))}
        return {**plain, "PYTHONPATH": str(self.root / "src"), **self.variables}

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Begin `snakemake --cores 2 OPTIONS` in a process group of its own, its jobs included."""
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", *_cores(options), *options],
            cwd=self.root,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def snakemake(self, *options: str, limit: float = 400) -> subprocess.CompletedProcess[str]:
        """`snakemake --cores 2 OPTIONS` to its end; `stdout` has errors too. Targets come first."""
        process = self.start(*options)
        try:
            said, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            kill(process)
            raise
        return subprocess.CompletedProcess(process.args, process.returncode, said)

    def build(self, *options: str, limit: float = 400) -> str:
        """Run the workflow, which must succeed; gives what it said."""
        done = self.snakemake(*options, limit=limit)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def plan(self, *options: str) -> dict[str, int]:
        """What would run now: jobs of each rule, the target's aside."""
        return planned(self.build("--dry-run", *options))

    def files(self, pattern: str) -> list[Path]:
        """Files that match a pattern, sorted."""
        return sorted(self.root.glob(pattern))

    def wait_for(self, pattern: str, process: subprocess.Popen[str]) -> Path:
        """The first file that matches a pattern, as soon as there is one."""
        while process.poll() is None:
            if found := self.files(pattern):
                return found[0]
            time.sleep(0.01)
        raise AssertionError(f"no {pattern}: {process.communicate()[0]}")


def planned(said: str) -> dict[str, int]:
    """What would run by what a dry run said: jobs of each rule, the target's aside."""
    if "Nothing to be done" in said:
        return {}
    table = re.search(r"^stage +jobs  why\n-[- ]*\n(.*?)^total ", said, re.MULTILINE | re.DOTALL)
    assert table, said
    jobs = dict(line.split()[:2] for line in table[1].splitlines())
    return {rule: int(count) for rule, count in jobs.items() if rule != "all"}


def kill(process: subprocess.Popen[str]) -> str:
    """SIGKILL snakemake and its jobs, which are in its process group; gives what it had said."""
    os.killpg(process.pid, signal.SIGKILL)
    return process.communicate()[0]


def _cores(options: tuple[str, ...]) -> tuple[str, ...]:
    given = {"--lint", "--jobs", "--cores", "--workflow-profile"} & set(options)
    return () if given else ("--cores", "2")
