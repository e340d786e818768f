"""One run's kernels by several jobs: the same bytes, and nothing is made again for it."""

from __future__ import annotations

import pytest

from tests.workflow.project import Project, kill
from tests.workflow.test_interruptions import first_task, take

PARTS = {"compute_kernels_part": 3, "compute_kernels": 1}
SMALL_TILES = {"kernels/stage": "_WHOLE_BYTES = 0", "ntk/tiled/grid": "_SMALLEST = 4"}


@pytest.fixture
def spread(project: Project) -> Project:
    """Three jobs a kernel, from now on."""
    project.change("resources.kernel_jobs", 3)
    return project


def test_parts_make_the_same_bytes_and_leave_nothing(spread: Project) -> None:
    assert spread.plan() == {}
    _, target = first_task(spread)
    whole = take(spread, target)
    assert spread.plan(target) == PARTS
    spread.build(target)
    assert spread.files("results/**/.*.state") == spread.files("results/runs/*/*.parts") == []
    spread.change("resources.kernel_jobs", 1)
    assert spread.plan(target) == {}
    assert take(spread, target) == whole


@pytest.mark.slow
def test_killed_in_tiles_they_end_with_the_same_bytes(spread: Project) -> None:
    for module, line in SMALL_TILES.items():
        spread.append(f"src/ntkscope/{module}.py", f"\n{line}\n")
    _, target = first_task(spread)
    take(spread, target)
    spread.change("resources.kernel_jobs", 1)
    spread.build(target)
    whole = take(spread, target)
    assert any(name.startswith("complete/c/1/2/1/") for name in whole)  # seed, snapshot, tile
    spread.change("resources.kernel_jobs", 3)
    process = spread.start(target)
    spread.wait_for("results/runs/*/*.parts/.*.state/store.zarr/complete/c/1/2/*/*", process)
    kill(process)
    spread.build(target)
    assert take(spread, target) == whole
