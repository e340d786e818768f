"""The HTML report opened in a headless Chromium: every figure shows, with its caption."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.workflow.browser import CHROMIUM, Browser
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
    while not browser.run(script):
        assert time.monotonic() < end, f"{script}\n{browser.run('document.body.innerText')}"
        time.sleep(0.05)


def click(browser: Browser, element: str) -> None:
    until(browser, f"!!({element})")
    browser.run(f"({element}).click()")


@pytest.mark.parametrize("row", range(4))
def test_every_file_shows_with_its_caption(finished: Project, tmp_path: Path, row: int) -> None:
    """PDF and PNG of the figure, and of that of its mechanism."""
    report = finished.root / "results/report.html"
    if not report.exists():
        finished.build("--report", "results/report.html")
    with Browser(tmp_path) as browser:
        browser.open(report.as_uri())
        click(browser, LINK.format("Figures"))
        until(browser, f"{EYES}.length === 4")
        click(browser, f"{EYES}[{row}]")
        until(browser, f"{WIDTHS}.some(w => w > 1000) || {PDFS}.includes('data:application/pdf')")
        click(browser, f"{NOTES}[{row}]")
        until(browser, "document.body.innerText.includes('How to read it')")
