"""A finished workflow of which one run is to be made again, slowly enough to be caught at work."""

from __future__ import annotations

import shutil
from pathlib import Path

from ntkscope.config import Cell, expand, load_files
from tests.workflow.project import ROOT, Project

FIGURE = "figures/reactivation.pdf"
TRAINING = "results/runs/{run}/.snapshots.state/state.safetensors"
KERNELS = "results/runs/{run}/.kernels-*.state/identity"


class Caught(Project):
    """The finished workflow without one run's results and without all that is made of them."""

    @classmethod
    def of(cls, finished: Project, root: Path, variables: dict[str, str] | None = None) -> Caught:
        """A copy of `finished`, whose run's last task is missing."""
        shutil.copytree(finished.root, root)
        paths = {"PYTHONPATH": f"{root / 'src'}:{ROOT / 'tests/workflow/slow'}"}
        caught = cls(root, {**(variables or {}), **paths})
        caught.change("resources.checkpoint_seconds", 0)
        shutil.rmtree(root / "results/runs" / caught.run)
        for made in ("results/experiments", "results/findings", "figures", "logs"):
            shutil.rmtree(root / made)
        return caught

    @property
    def cell(self) -> Cell:
        """That of the run that is missing: of two tasks, the first of which is there."""
        return expand(load_files(self.root / "config/config.yaml"), "reactivation")[0]

    @property
    def run(self) -> str:
        """Its id."""
        return self.cell.run.id

    @property
    def kernels(self) -> str:
        """The store of its kernels."""
        return f"results/runs/{self.run}/kernels-{self.cell.kernel.id}.zarr"

    def slow(self, seconds: float = 1.0) -> None:
        """Have each look of a job at its work take so long; 0: no longer."""
        file = self.root / "slow"
        file.write_text(str(seconds)) if seconds else file.unlink(missing_ok=True)

    @property
    def log(self) -> str:
        """What the training said, in its last attempt."""
        file = self.root / f"logs/train_task/{self.run}.log"
        return file.read_text(encoding="utf-8") if file.exists() else ""

    def is_like(self, finished: Project) -> bool:
        """Whether the figure, of what is there, is that of the uninterrupted workflow."""
        self.build(FIGURE)
        return (self.root / FIGURE).read_bytes() == (finished.root / FIGURE).read_bytes()
