"""A network of the user's own: a function `package.module:function` that returns a torch module.

The function is the user's code and runs as it is, in the jobs that train or compute kernels; the
folder that the workflow runs in is searched for it first.
"""

from __future__ import annotations

import importlib
import random
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ntkscope.errors import ModelError
from ntkscope.models.apart import check_apart
from ntkscope.seeds import RandomStream, torch_seed

_EXAMPLE = "def function(shape, outputs, **arguments): return torch.nn.Sequential(…)"


@dataclass(frozen=True)
class UserModule:
    """Builds a module by the user's function, which is called as `f(shape, outputs, **arguments)`.

    Attributes:
        function: "package.module:function".
        arguments: further arguments by name.
        shape: of one input, without the batch: (channel, y, x) of images.
        outputs: number of logits K.
        tokens: inputs are whole numbers, int64, not of the parameters' dtype.
    """

    function: str
    arguments: Mapping[str, Any]
    shape: tuple[int, ...]
    outputs: int
    tokens: bool = False

    def __call__(self, seed: int | None = None) -> nn.Module:
        """The module as the function returns it after `torch.manual_seed(seed)`.

        A seed from 2³² on is drawn to fewer bits first, since torch would drop the rest. Python's
        and NumPy's generators are seeded too, and lazy layers get their parameters here.

        Raises:
            ModelError: there is no such function, it fails, or what it returns is not a module
                from [N, *shape] to [N, K].
        """
        function = _find(self.function)
        with _seeded(seed):
            try:
                network = function(self.shape, self.outputs, **self.arguments)
            except (Exception, SystemExit) as error:
                raise self._error(f"raises {_words(error)}") from error
            return self._checked(network)

    def _checked(self, network: Any) -> nn.Module:
        if not isinstance(network, nn.Module):
            raise self._error(f"returns {type(network).__name__}, not a torch.nn.Module")
        if not any(p.requires_grad for p in network.parameters()):
            raise self._error("returns a module without a parameter to train")
        training = network.training
        dtype = torch.int64 if self.tokens else next(network.parameters()).dtype
        network.eval()
        found = self._of_zeros(network, 2, dtype)
        self._of_zeros(network, 1, dtype)  # what mixes samples may need several
        network.train(training)
        shape = list(getattr(found, "shape", ()))
        if shape != [2, self.outputs]:
            raise self._error(
                f"returns a module whose output for inputs {[2, *self.shape]} is {shape}, "
                f"not {[2, self.outputs]}"
            )
        return network

    def _of_zeros(self, network: nn.Module, samples: int, dtype: torch.dtype) -> Any:
        """The output for a few samples."""
        size = [samples, *self.shape]
        try:
            with torch.no_grad():
                return network(torch.zeros(size, dtype=dtype))
        except (Exception, SystemExit) as error:
            raise self._error(
                f"returns a module that fails on inputs {size}: {_words(error)}"
            ) from error

    def check_apart(self) -> None:
        """Refuse a network whose outputs are not each its own sample's (`apart`): no kernel is."""
        check_apart(self(0), self.shape, tokens=self.tokens, where=self._where())

    def _where(self) -> str:
        module = sys.modules.get(self.function.partition(":")[0])
        return f"{self.function}, {getattr(module, '__file__', None) or 'of no file'}"

    def _error(self, what: str) -> ModelError:
        return ModelError(
            f"the model's function {what}",
            where=self._where(),
            remedy=f"write it as {_EXAMPLE}, from [N, *shape] to [N, outputs]",
        )


@contextmanager
def _seeded(seed: int | None) -> Iterator[None]:
    """Within it, random numbers are those of a seed (None: any); states are given back."""
    drawn = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            if seed is not None:
                # torch's generator of CPUs takes 32 bits of a seed, and drops the rest
                small = seed if seed < 2**32 else torch_seed(seed, RandomStream.INITIALISATION)
                torch.manual_seed(small)
                random.seed(seed)
                np.random.seed([seed % 2**32, seed >> 32])
            yield
    finally:
        random.setstate(drawn[0])
        np.random.set_state(drawn[1])


def _find(name: str) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:
        raise ModelError(
            f"the model's function cannot be imported: {_words(error)}",
            where=name,
            remedy="give it as package.module:function, of a module in the folder that the "
            "workflow runs in, or installed",
        ) from error
    if not callable(found):
        raise ModelError("this is no function", where=name, remedy=f"write it as {_EXAMPLE}")
    function: Callable[..., Any] = found
    return function


def _words(error: BaseException) -> str:
    """An error, and the line of the user's own that it comes from."""
    calls = traceback.extract_tb(error.__traceback__)
    here = [call for call in calls if Path(call.filename).is_relative_to(Path.cwd())]
    installed = [call for call in here if "site-packages" not in Path(call.filename).parts]
    last = (
        f" ({Path(installed[-1].filename).name}, line {installed[-1].lineno})" if installed else ""
    )
    return f"{type(error).__name__}: {error}{last}"
