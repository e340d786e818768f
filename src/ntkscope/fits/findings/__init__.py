"""Verdicts on the claims of papers, and on our own: `results/findings`.

A claim says where its interval must lie. It is *supported* if its interval lies there wholly,
beyond a stated size where the claim is of size; *opposite* if it lies wholly on the other side;
else *not supported*; and *not tested* where this configuration has no data for it. A claim of every
width, rate, … is judged by the least favourable of them, by intervals that hold for all of them at
once (Bonferroni); it is *not resolved* where one of them has no data, since all its seeds diverged
say, unless another with all its data is opposite. A claim of no effect is *by construction* where
what it is judged by is the twin to the bit: it holds, and could not have failed. Imports `fits`, no
paper of it but by name, and the ground.
"""

from ntkscope.fits.findings.claim import Claim, Claimed, Finding, judge
from ntkscope.fits.findings.registry import claims
from ntkscope.fits.findings.write import find, write_findings

__all__ = ["Claim", "Claimed", "Finding", "claims", "find", "judge", "write_findings"]
