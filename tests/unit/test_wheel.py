"""The wheel, in environments that have what its metadata require and no more."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from importlib.metadata import distribution
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.workflow.project import FILES, FOLDERS, TINY, planned

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
OFFLINE = ["--no-deps", "--no-index"]

COMPUTE = """
import torch
from ntkscope import KernelRidge, NTKOperator, cka, empirical_ntk, largest_eigenvalue, write_ntk
from ntkscope import __version__, infinite_ntk, plan_ntk, read_store, spectral_norm, velocity

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(6, 30), torch.nn.ReLU(), torch.nn.Linear(30, 2))
model, x = model.double(), torch.randn(12, 6, dtype=torch.float64)
kernel = empirical_ntk(model, x)
largest = largest_eigenvalue(NTKOperator(model, x, kind="trace"))
torch.testing.assert_close(largest.value, float(torch.linalg.eigvalsh(kernel)[-1]))
fitted = KernelRidge(ridge=1e-10).fit(kernel, x[:, :1])
torch.testing.assert_close(torch.as_tensor(fitted.predict(kernel)), x[:, :1], rtol=1e-4, atol=1e-4)
assert write_ntk("kernel.zarr", model, x)
assert abs(cka(read_store("kernel.zarr", "kernels").ntk, kernel) - 1) < 1e-12
print(__version__)
"""


def closure(wanted: list[str], extra: str = "") -> set[str]:
    """Installed distributions that requirements name, and what those require, without extras."""
    found: set[str] = set()
    waiting = [(Requirement(each), extra) for each in wanted]
    while waiting:
        requirement, of = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": of})):
            continue
        found.add(name)
        waiting += [(Requirement(each), "") for each in distribution(name).requires or ()]
    return found


def link(name: str, site: Path) -> None:
    """Make one installed distribution visible in another environment."""
    installed = distribution(name)
    for top in {Path(file).parts[0] for file in installed.files or ()}:
        source = Path(str(installed.locate_file(top)))
        if top not in {"..", "__pycache__"} and not (site / top).exists():
            (site / top).symlink_to(source)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    no_caches = shutil.ignore_patterns("*.egg-*", "__pycache__")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / "sources" / name, ignore=no_caches)
    for name in ("pyproject.toml", "README.md", "LICENSE", *FILES):
        shutil.copy(ROOT / name, folder / "sources")
    build = ["wheel", *OFFLINE, "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([*PIP, *build, str(folder / "sources")], check=True, env=ENVIRONMENT)
    (built,) = folder.glob("ntkscope-*.whl")
    return built


def environment(wheel: Path, folder: Path, extra: str) -> Path:
    """Python of a new environment with the wheel and the closure of its requirements."""
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        requires = Parser().parsestr(archive.read(metadata).decode()).get_all("Requires-Dist")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "env")], check=True)
    python = folder / "env/bin/python"
    install = ["--python", str(python), "install", *OFFLINE, str(wheel)]
    subprocess.run([*PIP, *install], check=True, env=ENVIRONMENT)
    (site,) = (folder / "env/lib").glob("python*/site-packages")
    for name in sorted(closure(requires or [], extra)):
        link(name, site)
    return python


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without extras."""
    return environment(wheel, tmp_path_factory.mktemp("bare"), "")


@pytest.fixture(scope="module")
def with_workflow(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the extra `workflow`."""
    return environment(wheel, tmp_path_factory.mktemp("workflow"), "workflow")


def run(python: Path, code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(python), "-I", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


@pytest.mark.slow
def test_the_library_computes_without_extras(bare: Path, tmp_path: Path) -> None:
    done = run(bare, COMPUTE, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [distribution("ntkscope").version]


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["figures", "fits", "config", "kernels", "training", "data"])
def test_a_stage_of_the_workflow_says_which_extra_it_needs(
    bare: Path, tmp_path: Path, stage: str
) -> None:
    done = run(bare, f"import ntkscope.{stage}", tmp_path)
    assert done.returncode != 0
    assert "pip install 'ntkscope[workflow]'" in done.stderr


@pytest.mark.slow
def test_measuring_a_run_needs_the_workflow_and_metrics_do_not(bare: Path, tmp_path: Path) -> None:
    assert run(bare, "from ntkscope.metrics import cka", tmp_path).returncode == 0
    done = run(bare, "from ntkscope.metrics import measure_kernels", tmp_path)
    assert "pip install 'ntkscope[workflow]'" in done.stderr


def command(python: Path, folder: Path, *words: str) -> str:
    """What `ntkscope` prints, which must succeed."""
    done = subprocess.run(
        [str(python.with_name("ntkscope")), *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=ENVIRONMENT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_the_command_says_which_extra_it_needs(bare: Path, tmp_path: Path) -> None:
    assert "made mine" in command(bare, tmp_path, "new", "mine")
    for words in (["run"], ["status"]):
        done = subprocess.run(
            [str(bare.with_name("ntkscope")), *words],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path / "mine",
            env=ENVIRONMENT,
        )
        assert done.returncode == 1
        assert "pip install 'ntkscope[workflow]'" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_folder_of_ones_own_draws_from_the_wheel_alone(
    with_workflow: Path, tmp_path: Path
) -> None:
    command(with_workflow, tmp_path, "new", "mine")
    mine = tmp_path / "mine"
    (mine / "config/config.yaml").write_text(yaml.safe_dump(TINY), encoding="utf-8")
    run_it = ["run", "reactivation", "--cores", "2"]
    assert planned(command(with_workflow, mine, *run_it, "--", "--dry-run"))["train_task"] == 6
    command(with_workflow, mine, *run_it)
    assert (mine / "figures/reactivation.pdf").exists()
    assert planned(command(with_workflow, mine, *run_it, "--", "--dry-run")) == {}
    (row,) = [line for line in command(with_workflow, mine, "status").splitlines() if "6/6" in line]
    assert row.split()[-2:] == ["yes", "yes"]
    assert " 0 damaged" in command(with_workflow, mine, "verify")
    at = ["width=4", "arm=shift"]
    assert "layer_ntk" in command(with_workflow, mine, "open", "reactivation", *at)
