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
TOGGLE = "document.evaluate(`//*[normalize-space(text())='{}']`, document, null, 9).singleNodeValue"
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


@pytest.mark.parametrize(
    ("file", "shown"),
    [("PNG", f"{WIDTHS}.some(w => w > 1000)"), ("PDF", f"{PDFS}.includes('data:application/pdf')")],
)
def test_every_figure_shows_with_its_caption(
    finished: Project, tmp_path: Path, file: str, shown: str
) -> None:
    finished.build("--report", "results/report.html")
    for number in range(2):  # the figure, and that of its mechanism
        with Browser(tmp_path / f"{number}") as browser:
            browser.open((finished.root / "results/report.html").as_uri())
            click(browser, LINK.format("Results"))
            click(browser, LINK.format("Figures"))
            click(browser, TOGGLE.format(file))
            until(browser, f"{EYES}.length === 2")
            click(browser, f"{EYES}[{number}]")
            until(browser, shown)
            click(browser, f"{NOTES}[{number}]")
            until(browser, "document.body.innerText.includes('How to read it')")
