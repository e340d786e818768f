"""All claims: those of every paper that has some, in the order of its table."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path

from ntkscope.fits.findings.claim import Claim

FITS = Path(__file__).parents[1]


@cache
def claims() -> tuple[Claim, ...]:
    """The `CLAIMS` of each `fits/{paper}/claims`, paper by paper."""
    papers = sorted(folder.parent.name for folder in FITS.glob("*/claims"))
    found = (import_module(f"ntkscope.fits.{paper}.claims").CLAIMS for paper in papers)
    return tuple(claim for of_paper in found for claim in of_paper)
