"""The one exception type that users see: what is wrong, where, and what to do about it."""

from __future__ import annotations

import os


class NtkscopeError(Exception):
    """An error a user can act on.

    Args:
        what: what is wrong, one sentence.
        where: the file, key, store or argument it concerns.
        remedy: what to do about it, one sentence.
    """

    def __init__(self, what: str, *, where: object = None, remedy: str | None = None) -> None:
        self.what, self.where, self.remedy = what, where, remedy
        lines = [what]
        if where is not None:
            lines.append(f"  where: {where}")
        if remedy is not None:
            lines.append(f"  to do: {remedy}")
        super().__init__("\n".join(lines))


CONFIGURED = "NTKSCOPE_CONFIGURED"
"""The environment variable by which a workflow tells its jobs the options of its configuration."""


def remake(path: object) -> str:
    """What to do about a file or store that is damaged: the command."""
    configured = os.environ.get(CONFIGURED)
    if configured is not None:
        return f"make it again: ntkscope remake {path}{configured}"
    return (
        f"make it again: ntkscope remake {path} (of a preset: with its --config FILE), or the call "
        "that wrote it"
    )


def replaced(path: object) -> str:
    """What to do about a file or store that is whole, and not the one that belongs there."""
    return (
        f"it may be good where it belongs: move it away; then snakemake --cores all {path} (of a "
        "preset: with its --configfile) makes the one that belongs here"
    )


class ArgumentError(NtkscopeError, ValueError):
    """An argument of a function that is none of those it takes."""


class ConfigError(NtkscopeError):
    """The configuration says something that cannot be run."""


class DataError(NtkscopeError):
    """A source of images is missing, truncated or not what it claims to be."""


class StoreError(NtkscopeError):
    """A store between two stages is missing, incomplete, damaged or of another kind."""


class ModelError(NtkscopeError):
    """A network for which an exact kernel cannot be given as asked."""


class BusyError(NtkscopeError):
    """Another living process writes the same output."""


class MadeMeanwhileError(NtkscopeError):
    """What was to be made is there: another process, which was waited for, has made it.

    A job then has nothing to do, and ends well.
    """


class DiskError(NtkscopeError):
    """A disk is full, or cannot be written to."""


class MissingExtraError(NtkscopeError, ImportError):
    """A part of the package whose libraries are in an extra that is not installed."""
