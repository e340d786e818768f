"""How a network whose limit is not known is refused."""

from __future__ import annotations

from ntkscope.errors import ModelError


def refused(where: str, why: str, remedy: str) -> ModelError:
    """The error: what, where, what to do."""
    return ModelError(f"no infinite-width kernel: {why}", where=where, remedy=remedy)
