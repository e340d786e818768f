"""Links between our documents: the file is there, and so is the heading that is meant."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    file
    for folder in (".", "docs", "docs/terminal", "config", "benchmarks")
    for file in (ROOT / folder).glob("*.md")
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
TARGET = re.compile(r"^:target: (\S+)|^(?:```|:::)\{(?:figure|include)\} (\S+)", re.MULTILINE)


def prose(text: str) -> str:
    """A document without blocks and spans of code."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```[^{][\s\S]*?^```", "", text, flags=re.MULTILINE))


def anchors(text: str) -> set[str]:
    """What GitHub and MyST make of the headings: lower case, hyphens, no punctuation."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in headings}


def broken(document: Path, text: str) -> list[str]:
    """Links of a document that lead nowhere."""
    links = LINK.findall(prose(text))
    links += [target or file for target, file in TARGET.findall(text)]
    return [link for link in links if not leads_somewhere(document, link, text)]


def leads_somewhere(document: Path, link: str, text: str) -> bool:
    """A link of the web is not looked at; a tutorial's page is made from its script."""
    if re.match(r"https?:|mailto:", link):
        return True
    path, _, anchor = link.partition("#")
    if path.startswith("tutorials/"):
        script = document.parent / "gallery" / Path(path).with_suffix(".py").name
        return script.is_file() or path == "tutorials/index.rst"
    if path.startswith("_images/"):
        return any((ROOT / "docs").glob(f"**/{Path(path).name}"))
    if not path:
        return anchor in anchors(text)
    target = document.parent / path
    if anchor and target.suffix == ".md" and target.is_file():
        return anchor in anchors(target.read_text(encoding="utf-8"))
    return target.exists()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    assert broken(document, document.read_text(encoding="utf-8")) == []


def test_links_that_lead_nowhere_are_found() -> None:
    text = (
        "# On K_∞, `kind`: a & b\n[a](#on-k_-kind-a--b) [b](#none) [c](none.md) [d](../README.md)\n"
        "[e](cite.md#how-to-cite) [f](cite.md#no) `[g](none)` [h](https://there.is) "
        "[i](tutorials/plot_none.rst)\n```{figure} none.png\n:target: _images/scaling.png\n```\n"
    )
    assert broken(ROOT / "docs/x.md", text) == [
        *("#none", "none.md", "cite.md#no", "tutorials/plot_none.rst", "none.png"),
    ]


def test_every_page_of_the_site_is_in_its_table_of_contents() -> None:
    index = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    listed = set(" ".join(re.findall(r"```\{toctree\}([^`]*)```", index)).split())
    pages = {file.stem for kind in ("md", "rst") for file in (ROOT / "docs").glob(f"*.{kind}")}
    assert pages - listed == {"index", "paper"}
