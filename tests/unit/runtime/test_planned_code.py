"""A job goes on with the code that it was planned with, or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ntkscope import identity
from ntkscope.errors import NtkscopeError
from ntkscope.runtime import planned_code
from ntkscope.runtime.planned_code import check_code, plan_code

JOB = "/somewhere/tmpab12.draw.py"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the library, of which one script is planned."""
    package, script = tmp_path / "ntkscope", tmp_path / "draw.py"
    shutil.copytree(Path(identity.__file__).parent, package)
    script.write_text("x = 1\n", encoding="utf-8")
    monkeypatch.setenv("NTKSCOPE_PLANNED_CODE", "{}")
    monkeypatch.setattr(planned_code, "_PACKAGE", package)
    monkeypatch.setattr(identity, "__file__", str(package / "identity.py"))
    forget()
    assert plan_code(script, "figures") == identity.stage_digest("figures", None, script)
    yield package
    forget()


def forget() -> None:
    """As in a process of its own, which a job is."""
    identity.stage_digest.cache_clear()
    planned_code._dates.cache_clear()
    planned_code._contents.cache_clear()


def write(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    forget()


def test_other_code_is_refused_until_it_is_undone(package: Path) -> None:
    check_code(JOB)
    file = package / "figures/style.py"
    text = file.read_text(encoding="utf-8")
    write(file, text + "_X = 1\n")
    with pytest.raises(NtkscopeError, match="after the workflow had planned it") as error:
        check_code(JOB)
    assert error.value.where == file
    write(file, text)
    check_code(JOB)


def test_other_words_and_the_code_of_others_go_on(package: Path) -> None:
    style, task = package / "figures/style.py", package / "training/task.py"
    write(style, style.read_text(encoding="utf-8") + "# why\n")
    write(task, task.read_text(encoding="utf-8") + "_X = 1\n")
    check_code(JOB)


def test_where_nothing_was_planned_nothing_is_checked(package: Path) -> None:
    write(package / "figures/style.py", "")
    check_code("/usr/bin/pytest")


def test_a_submitted_job_keeps_the_plan_of_who_submitted_it(package: Path) -> None:
    file = package / "figures/style.py"
    write(file, file.read_text(encoding="utf-8") + "_X = 1\n")
    plan_code(package.parent / "draw.py", "figures", is_submitted=True)
    with pytest.raises(NtkscopeError, match="after the workflow had planned it"):
        check_code(JOB)
    plan_code(package.parent / "draw.py", "figures")
    check_code(JOB)


def test_an_editor_at_work_is_no_change(package: Path) -> None:
    """Emacs keeps a link to nothing beside a file that is not saved yet."""
    (package / "figures/.#style.py").symlink_to("somebody@here.1:2")
    forget()
    plan_code(package.parent / "draw.py", "figures")
    check_code(JOB)


def test_the_same_sources_of_another_date_and_python_go_on(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container, or an environment of its own."""
    os.utime(package / "figures/style.py", (1, 1))
    forget()
    monkeypatch.setattr(planned_code, "stage_digest", lambda *_: "of another Python")
    check_code(JOB)


def test_a_script_lies_elsewhere_on_another_machine(package: Path) -> None:
    style, elsewhere = package / "figures/style.py", package.with_name("elsewhere")
    write(style, style.read_text(encoding="utf-8") + "# why\n")
    elsewhere.mkdir()
    script = package.with_name("draw.py").rename(elsewhere / "draw.py")
    plan_code(script, "figures", is_submitted=True)
    check_code(JOB)
