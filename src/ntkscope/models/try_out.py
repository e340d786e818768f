"""Whether the user's own networks can be made, tried once before any job is run.

`python -m ntkscope.models.try_out` reads them from its input, as JSON, and prints what is
wrong with the first that is not as it should be: a process of its own, since the workflow starts
without torch.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable
from typing import TypedDict

from ntkscope.config.specs import ModelSpec
from ntkscope.errors import NtkscopeError
from ntkscope.models.definition import check_alike, initial_tensors
from ntkscope.models.user_module import UserModule
from ntkscope.models.zoo import define

_SECONDS = 20  # after which the others are left to their jobs


class Tried(TypedDict):
    """A network: its spec as plain values, and what `zoo.define` takes beside it."""

    model: dict[str, object]
    shape: list[int]
    outputs: int
    tokens: bool


def fault_of(networks: Iterable[Tried]) -> str:
    """What is wrong with the first network at fault; "": nothing.

    Each is made twice, of two seeds, and given two samples: together and each alone.
    """
    end = time.monotonic() + _SECONDS
    for each in networks:
        model = ModelSpec.model_validate(each["model"])
        try:
            definition = define(model, tuple(each["shape"]), each["outputs"], tokens=each["tokens"])
            first, second = (initial_tensors(definition, seed) for seed in (0, 1))
            check_alike(second, first, definition.function)
            assert isinstance(definition.build, UserModule)
            definition.build.check_apart()
        except NtkscopeError as error:
            if "can't allocate memory" in str(error):  # jobs may have more
                continue
            said = ", ".join(f"{key}={value}" for key, value in model.arguments.items())
            return f"{error}\n  (called with {said})" if said else str(error)
        if time.monotonic() > end:
            break
    return ""


if __name__ == "__main__":
    answer = os.dup(1)
    os.dup2(2, 1)  # for what the user's code prints, in C and in other processes too
    os.write(answer, fault_of(json.load(sys.stdin)).encode())
