"""The HTML report opened in a headless Chromium: one page first, all files one link away."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.workflow.browser import CHROMIUM, Browser, NavigatedError
from tests.workflow.project import Project

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium (apt install chromium)"),
]

LINK = "[...document.querySelectorAll('a, button')].find(e => e.innerText.trim() === '{}')"
EYES = "document.querySelectorAll('a[iconname=eye]')"
NOTES = "document.querySelectorAll('a[iconname=information-circle]')"
WIDTHS = "[...document.querySelectorAll('img')].map(e => e.naturalWidth)"
PDFS = "[...document.querySelectorAll('iframe')].map(e => e.src.slice(0, 20))"


def until(browser: Browser, script: str) -> None:
    """Wait for a script to be true; a page draws itself some time after a click."""
    end = time.monotonic() + 20
    while not _is_true(browser, script):
        assert time.monotonic() < end, f"{script}\n{browser.run('document.body.innerText')}"
        time.sleep(0.05)


def _is_true(browser: Browser, script: str) -> bool:
    """Also while a page gives way to another."""
    try:
        return bool(browser.run(script))
    except NavigatedError:
        return False


def click(browser: Browser, element: str) -> None:
    until(browser, f"!!({element})")
    browser.run(f"({element}).click()")


def reports(finished: Project) -> Path:
    """The folder of both reports, made once."""
    folder = finished.root / "results"
    if not (folder / "report.html").exists():
        page = ("--report-ntkscope-path", "results/report.html")
        link = ("--report-ntkscope-link", "report-snakemake.html")
        finished.build("--report", "results/report-snakemake.html")
        finished.build("--reporter", "ntkscope", *page, *link)
    return folder


@pytest.mark.parametrize("row", range(4))
def test_every_file_shows_with_its_caption(finished: Project, tmp_path: Path, row: int) -> None:
    """PDF and PNG of the figure, and of that of its mechanism."""
    with Browser(tmp_path) as browser:
        browser.open((reports(finished) / "report-snakemake.html").as_uri())
        click(browser, LINK.format("Figures"))
        until(browser, f"{EYES}.length === 4")
        click(browser, f"{EYES}[{row}]")
        until(browser, f"{WIDTHS}.some(w => w > 1000) || {PDFS}.includes('data:application/pdf')")
        click(browser, f"{NOTES}[{row}]")
        until(browser, "document.body.innerText.includes('How to read it')")


def test_the_first_page_shows_verdicts_and_figures_and_leads_on(
    finished: Project, tmp_path: Path
) -> None:
    with Browser(tmp_path) as browser:
        browser.open((reports(finished) / "report.html").as_uri())
        until(browser, f"{WIDTHS}.filter(w => w > 1000).length === 2")
        until(browser, "document.querySelectorAll('.verdict').length > 10")
        until(browser, "document.body.innerText.includes('How to read it')")
        wide = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        until(browser, wide)
        click(browser, "document.querySelector('a[href=\"report-snakemake.html\"]')")
        until(browser, f"!!({LINK.format('Figures')})")
