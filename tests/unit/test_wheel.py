"""The wheel without extras, in an environment that has what its metadata require and no more."""

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
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

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


def closure(wanted: list[str]) -> set[str]:
    """Installed distributions that requirements name, and what those require, without extras."""
    found: set[str] = set()
    waiting = [Requirement(each) for each in wanted]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        waiting += [Requirement(each) for each in distribution(name).requires or ()]
    return found


def link(name: str, site: Path) -> None:
    """Make one installed distribution visible in another environment."""
    installed = distribution(name)
    for top in {Path(file).parts[0] for file in installed.files or ()}:
        source = Path(str(installed.locate_file(top)))
        if top not in {"..", "__pycache__"} and not (site / top).exists():
            (site / top).symlink_to(source)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment with the wheel and the closure of its requirements."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT / "src", folder / "sources/src", ignore=shutil.ignore_patterns("*.egg-*"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "sources")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-index"]
    build = ["wheel", *offline, "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([*pip, *build, str(folder / "sources")], check=True, env=ENVIRONMENT)
    (wheel,) = folder.glob("ntkscope-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        requires = Parser().parsestr(archive.read(metadata).decode()).get_all("Requires-Dist")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "env")], check=True)
    python = folder / "env/bin/python"
    install = ["--python", str(python), "install", *offline, str(wheel)]
    subprocess.run([*pip, *install], check=True, env=ENVIRONMENT)
    (site,) = (folder / "env/lib").glob("python*/site-packages")
    for name in sorted(closure(requires or [])):
        link(name, site)
    return python


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
