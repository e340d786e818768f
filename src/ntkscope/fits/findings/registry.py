"""The claims of each paper, in the order of its table."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path

from ntkscope.fits.findings.claim import Claim

FITS = Path(__file__).parents[1]


@cache
def claims(paper: str) -> tuple[Claim, ...]:
    """The `CLAIMS` of `fits/{paper}/claims`; none where there is no such folder."""
    if not (FITS / paper / "claims").is_dir():
        return ()
    return tuple(import_module(f"ntkscope.fits.{paper}.claims").CLAIMS)
