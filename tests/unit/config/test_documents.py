"""Files that are no configuration, or another one than they look: refused with the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from ntkscope.config import load_files
from ntkscope.config.diagnostics.documents import misread, read_document
from ntkscope.errors import ConfigError

BOMB = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)

REFUSED = {
    "tabs": ("preset: a\n\tseeds: [0]\n", "'\\t' that cannot start", 2, "not tabs"),
    "two documents": ("preset: a\n---\npreset: b\n", "another document", 2, "remove the line ---"),
    "empty": ("", "this file is empty", 1, "key: value lines"),
    "a list": ("- a\n", "this file is a list", 1, "key: value lines"),
    "open bracket": ("preset: a\nseeds: [0\n", "a flow sequence", 3, "close every bracket"),
    "octal": ("preset: a\nseeds: [010]\n", "010 is the number 8 to YAML", 2, "write 8 if"),
    "sexagesimal": ("seeds: [0, 1:30]\n", "1:30 is the number 90", 1, "quotes around text"),
    "aliases of aliases": (BOMB, "more than 100,000 values", 6, "fewer aliases"),
    "an alias of itself": ("preset: a\nseeds: &a [*a]\n", "more than 50 deep", 2, "brackets"),
    "a key twice": ("preset: a\npreset: b\n", "'preset' occurs twice", "s 1 and 2", "keep one"),
    "a tag of code": ("a: !!python/object:os.system x\n", "not YAML", 1, "close every"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_file_that_is_no_configuration_is_refused_with_its_line(
    kind: str, tmp_path: Path
) -> None:
    text, what, line, remedy = REFUSED[kind]
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_files(file)
    place = f"{file}, line {line}" if isinstance(line, int) else f"{file}, line{line}"
    said = str(caught.value)
    assert [words for words in (what, place, remedy) if words not in said] == []


@pytest.mark.parametrize(
    "text", ["a: [" * 3000, "a: !!int ''", "a: !!timestamp x", "a: 2024-13-45", "a: !!bool b", "\0"]
)
def test_what_yaml_itself_stumbles_over_is_refused_too(text: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"mine\.yaml"):
        read_document(file)


def test_text_that_is_not_utf_8_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes("seeds: [0]\npreset: caf\xe9\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"(?s)not UTF-8.*mine.yaml, line 2"):
        read_document(file)


@pytest.mark.parametrize(
    ("text", "meant"),
    [("010", "octal"), ("-07", "octal"), ("1:30", "sexagesimal"), ("190:20:30.5", "sexagesimal")],
)
def test_numbers_that_read_otherwise(text: str, meant: str) -> None:
    assert misread(text) == meant


@pytest.mark.parametrize("text", ["0", "10", "0.5", "1_000", "0x1F", "1e-3", "a:b", "12:99"])
def test_numbers_and_texts_that_read_alike(text: str) -> None:
    assert misread(text) is None


def test_quoted_text_may_look_like_a_number(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("a: '010'\nb: \"1:30\"\n", encoding="utf-8")
    assert read_document(file).values == {"a": "010", "b": "1:30"}
