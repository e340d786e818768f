"""Digests: equal for equal meaning, different for different code."""

import shutil

import pytest

from ntkscope import identity
from ntkscope.identity import STAGES, digest, sources_digest, stage_digest


def test_digest_sees_values_not_order():
    assert digest({"a": 1, "b": [0.1]}) == digest({"b": [0.1], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
    assert len(digest({})) == 12


def test_every_stage_has_its_own_digest():
    assert len({stage_digest(stage) for stage in STAGES}) == len(STAGES)


def test_sources_digest_is_blind_to_words_and_sees_code(tmp_path):
    plain = digest_of(tmp_path, a="def f(x):\n    return x + 1\n")
    words = '"""Module."""\n\n\ndef f(x):\n    """Doc."""\n    return x + 1  # why\n'
    assert digest_of(tmp_path, a=words) == plain
    assert digest_of(tmp_path, a="def f(x):\n    return x + 2\n") != plain


def test_sources_digest_follows_imports_and_nothing_else(tmp_path):
    code = {
        "a": "def f():\n    from pack.b import g\n",
        "b": "from pack import c\n",
        "c": "x = 1\n",
    }
    plain = digest_of(tmp_path, **code, d="x = 1\n")
    assert digest_of(tmp_path, d="x = 2\n") == plain
    assert digest_of(tmp_path, c="x = 2\n") != plain


@pytest.mark.parametrize(
    ("entrance", "found"),
    [
        ("figures.draw", "figures/reactivation/controls.py"),
        ("fits.tables", "fits/reactivation/comparisons.py"),
        ("fits.findings", "fits/reactivation/claims/beyond.py"),
    ],
)
def test_what_a_stage_finds_by_name_counts(tmp_path, entrance, found):
    package = tmp_path / "ntkscope"
    shutil.copytree(identity.__file__.rpartition("/")[0], package)
    before = sources_digest(package, f"ntkscope.{entrance}")
    with (package / found).open("a", encoding="utf-8") as file:
        file.write("changed = True\n")
    assert sources_digest(package, f"ntkscope.{entrance}") != before


def digest_of(folder, **modules):
    package = folder / "pack"
    package.mkdir(exist_ok=True)
    (package / "__init__.py").touch()
    for name, text in modules.items():
        (package / f"{name}.py").write_text(text)
    return sources_digest(package, "pack.a")
