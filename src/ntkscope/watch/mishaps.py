"""What goes wrong while a run is watched: said once, and never the end of the training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ntkscope.errors import ModelError, NtkscopeError
from ntkscope.runtime.logs import log


class Mishaps:
    """Of one watch: what each kind of them is, said when it happens first."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def say(self, kind: str, text: str) -> None:
        """Warn, once a kind."""
        if kind not in self._said:
            self._said.add(kind)
            log.warning("the training goes on, but %s", text)

    @contextmanager
    def of_writing(self) -> Iterator[None]:
        """Within it, what a disk or another writer refuses is said, and no error."""
        try:
            yield
        except (NtkscopeError, OSError) as error:
            self.say(type(error).__name__, f"kernels wait in memory to be written: {error}")

    def say_missed(self, step: int, error: Exception) -> None:
        """A kernel was not computed.

        Raises:
            Exception: the error itself, if it is of neither the model nor the memory.
        """
        is_full = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not (is_full or isinstance(error, ModelError) or "can't allocate memory" in str(error)):
            raise error
        self.say("missed", f"no kernel of step {step}, nor of others where this is so: {error}")
