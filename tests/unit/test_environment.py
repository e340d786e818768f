"""pyproject.toml, requirements.lock, environment.yml and the Makefile say the same."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PINS = [
    (canonicalize_name(name), Version(version))
    for name, version in re.findall(r"^([\w.-]+)==(\S+)", LOCK, re.MULTILINE)
]
FRAMEWORKS = {"lightning", "transformers", "avalanche"}
"""Extras that whoever trains with such a framework has already: no part of this environment."""
EXTRAS = {k: v for k, v in PROJECT["optional-dependencies"].items() if k not in FRAMEWORKS}
WANTED = [
    *PROJECT["dependencies"],
    *(wanted for extra in EXTRAS.values() for wanted in extra),
    *PYPROJECT["build-system"]["requires"],  # as the lock serves --no-build-isolation
]


@pytest.mark.parametrize("wanted", WANTED)
def test_every_dependency_is_locked_at_a_version_that_fits(wanted: str) -> None:
    requirement = Requirement(wanted)
    pinned = [version for name, version in PINS if name == canonicalize_name(requirement.name)]
    assert pinned, f"run make lock: {wanted} is not in requirements.lock"
    assert [version for version in pinned if version not in requirement.specifier] == []


def test_the_lock_is_made_with_all_extras_but_frameworks() -> None:
    (command,) = re.findall(
        r"pip compile(.*)-o requirements.lock", (ROOT / "Makefile").read_text("utf-8"), re.DOTALL
    )
    assert set(re.findall(r"--extra (\w+)", command)) == set(EXTRAS)


def test_each_framework_has_an_adapter_and_the_other_way_round() -> None:
    adapters = {file.stem for file in (ROOT / "src/ntkscope/watch/adapters").glob("[!_]*.py")}
    assert adapters == FRAMEWORKS <= set(PROJECT["optional-dependencies"])


def test_every_locked_package_has_hashes_and_no_address() -> None:
    entries = re.split(r"^(?=\S)", LOCK, flags=re.MULTILINE)
    assert [entry for entry in entries if "==" in entry and "--hash=sha256:" not in entry] == []
    assert "://" not in LOCK


def test_conda_has_a_python_that_fits_and_the_locked_versions() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    plain = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    assert plain == environment["dependencies"]  # Snakemake copies the file: no relative paths
    (python,) = [entry.removeprefix("python=") for entry in plain if entry.startswith("python=")]
    assert Version(python) in SpecifierSet(PROJECT["requires-python"])
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    script = (ROOT / "environment.post-deploy.sh").read_text(encoding="utf-8")
    for words in re.findall(r"^python -m pip (install .+)$", script, re.MULTILINE):
        assert words in makefile.replace("--quiet ", "")


def test_tools_are_set_to_the_oldest_python() -> None:
    oldest = PROJECT["requires-python"].removeprefix(">=")
    assert PYPROJECT["tool"]["mypy"]["python_version"] == oldest
    assert PYPROJECT["tool"]["ruff"]["target-version"] == f"py{oldest.replace('.', '')}"
    assert f"--python-version {oldest} " in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["title"], citation["version"]) == (PROJECT["name"], PROJECT["version"])
    assert citation["license"] == PROJECT["license"]


def test_codemeta_is_of_this_version() -> None:
    codemeta = json.loads((ROOT / "codemeta.json").read_text(encoding="utf-8"))
    assert (codemeta["name"], codemeta["version"]) == (PROJECT["name"], PROJECT["version"])
    assert codemeta["license"].rpartition("/")[2] == PROJECT["license"]
    assert codemeta["programmingLanguage"][0]["version"] == PROJECT["requires-python"]
    required = {Requirement(each).name for each in PROJECT["dependencies"]}
    assert set(codemeta["softwareRequirements"]) == required
    assert set(codemeta["keywords"]) == set(PROJECT["keywords"])


def test_the_wheel_has_the_whole_workflow() -> None:
    files = PYPROJECT["tool"]["setuptools"]["data-files"]
    packed = {file for globs in files.values() for glob in globs for file in ROOT.glob(glob)}
    places = {
        place.removeprefix("share/ntkscope").strip("/"): globs for place, globs in files.items()
    }
    assert all(
        Path(glob).parent == Path(place) for place, globs in places.items() for glob in globs
    )
    whole = {
        file
        for folder in ("rules", "scripts", "workflow", "config", "profiles")
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and not {"__pycache__", "test"} & set(file.parts)
    }
    assert whole - packed == set()
    assert ROOT / "Snakefile" in packed


def test_documented_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`make ([a-z-]+)[` ]", text)) - targets == set()


def test_ci_can_be_run() -> None:
    assert os.access(ROOT / ".ci/run", os.X_OK)


PYTHON = """#!/bin/sh
# A python that is quick to install: pip does what the file `pip` beside the Makefile says.
case "$*" in
  *version_info*) exit {old} ;;
  *ensurepip,*) exit {bare} ;;
  --version) echo Python 3.9.1 ;;
  "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  "-m pip install"*) echo "$*" >> calls; exit $(cat pip) ;;
esac
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "pip").write_text("0", encoding="utf-8")
    return tmp_path


def install(project: Path, *, old: int = 0, bare: int = 0) -> subprocess.CompletedProcess[str]:
    """`make environment` with a stand-in for Python."""
    python = project / "python3"
    python.write_text(PYTHON.format(old=old, bare=bare), encoding="utf-8")
    python.chmod(0o755)
    command = ["make", "-C", str(project), "environment", f"PYTHON={python}", "VENV=.venv"]
    plain = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=plain)


def calls(project: Path) -> int:
    return len((project / "calls").read_text(encoding="utf-8").splitlines())


def test_the_environment_is_made_once_and_again_when_the_lock_changes(project: Path) -> None:
    assert install(project).returncode == 0
    assert calls(project) == 2
    install(project)
    assert calls(project) == 2
    later = (project / ".venv/.installed").stat().st_mtime + 10
    os.utime(project / "requirements.lock", (later, later))
    install(project)
    assert calls(project) == 4


def test_a_failed_installation_is_done_again(project: Path) -> None:
    (project / "pip").write_text("1", encoding="utf-8")
    assert install(project).returncode != 0
    assert not (project / ".venv/.installed").exists()
    (project / "pip").write_text("0", encoding="utf-8")
    assert install(project).returncode == 0
    assert (project / ".venv/.installed").exists()


def test_an_old_python_is_refused(project: Path) -> None:
    done = install(project, old=1)
    assert done.returncode != 0
    assert "needs Python 3.11 or newer" in done.stdout
    assert "Python 3.9.1" in done.stdout
    assert not (project / ".venv").exists()


def test_a_python_without_venv_is_explained(project: Path) -> None:
    done = install(project, bare=1)
    assert done.returncode != 0
    assert "apt install python3-venv" in done.stdout


@pytest.mark.parametrize(
    "file", ["README.md", "CONTRIBUTING.md", "config/README.md", "config/fashion.yaml", "Makefile"]
)
def test_targets_stand_before_configfile_which_takes_all_that_follows(file: str) -> None:
    for line in (ROOT / file).read_text(encoding="utf-8").splitlines():
        _, option, rest = line.partition("--configfile ")
        assert not option or not re.search(r"\s(\$@|figures/|results/)", rest), line


def test_a_preset_that_is_none_is_told_with_those_that_are(project: Path) -> None:
    assert install(project).returncode == 0
    for preset in ("config", "fashion"):
        (project / "config").mkdir(exist_ok=True)
        (project / f"config/{preset}.yaml").touch()
    command = ["make", "-C", str(project), "figures/nopreset/x.pdf", "VENV=.venv"]
    plain = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=plain)
    assert done.returncode != 0
    assert 'there is no preset "nopreset" (config/nopreset.yaml); there are: fashion' in done.stderr
