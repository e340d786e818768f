"""What all sections are made of: lists of values, names, numbers in a range."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

T = TypeVar("T")


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _rising(values: list[int]) -> list[int]:
    """The list of two as it is, if the second is larger."""
    if values[0] >= values[1]:
        raise PydanticCustomError("rising", "{value} does not rise", {"value": values})
    return values


def _distinct(values: list[T]) -> list[T]:
    """The list as it is, if no value occurs twice in it."""
    for position, value in enumerate(values):
        if value in values[:position]:
            raise PydanticCustomError("repeated", "{value} occurs twice", {"value": value})
    return values


class _OneOrMany:
    """Tells the JSON schema of a sweep what its validator does: one value will do for a list."""

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        array = {**handler(core_schema), "uniqueItems": True}
        return {"anyOf": [array["items"], array]}


Distinct = Annotated[
    list[T],
    AfterValidator(_distinct),
    Field(min_length=1, json_schema_extra={"uniqueItems": True}),
]
"""A list of at least one value, none twice."""

DistinctOrNone = Annotated[
    list[T], AfterValidator(_distinct), Field(json_schema_extra={"uniqueItems": True})
]
"""A list of values, none twice; it may be empty."""

Sweep = Annotated[
    list[T],
    BeforeValidator(_as_list),
    AfterValidator(_distinct),
    Field(min_length=1),
    _OneOrMany(),
]
"""One value, or a list of values to sweep over."""

NAME = r"^[a-z][a-z0-9_]{0,99}$"
Name = Annotated[str, Field(pattern=NAME)]
"""A name that is part of a file's: at most 100 lower-case letters, digits and _, a letter first."""


@dataclass(frozen=True)
class OneOf:
    """Text that is one of the words that a function gives when a value is checked."""

    words: Callable[[], list[str]]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, value: str) -> str:
        if value not in self.words():
            raise PydanticCustomError("one_of", "{value} is not known", {"value": value})
        return value

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(core_schema), "enum": self.words()}


IDENTIFIER = r"^[A-Za-z_][A-Za-z0-9_]*$"
Identifier = Annotated[str, Field(pattern=IDENTIFIER)]
"""A name of Python's."""


def _plain(value: Any) -> Any:
    """The value, if it is one that YAML and JSON write alike."""
    if isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise PydanticCustomError("plain", "{value} is not plain", {"value": value})


Plain = Annotated[
    Any, AfterValidator(_plain), WithJsonSchema({"type": ["boolean", "number", "string"]})
]
"""True, false, a number or text."""

Positive = Annotated[int, Field(ge=1, le=10**9)]
Natural = Annotated[int, Field(ge=0, le=10**9)]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]
"""Stores hold seeds in 64 bits."""
Steps = Annotated[int, Field(ge=1, le=10**7)]
"""Of training: the most take hours where one takes a millisecond."""
Size = Annotated[int, Field(ge=1, le=10**6)]
"""Units of a layer."""
Depth = Annotated[int, Field(ge=1, le=1000)]
"""Layers of a network."""
Most = Annotated[int, Field(ge=0, le=10**5)]
"""How many of what all are listed."""
Range = Annotated[list[Positive], Field(min_length=2, max_length=2), AfterValidator(_rising)]
"""The least and the most of whole numbers."""
PositiveFloat = Annotated[float, Field(ge=1e-12, le=1e12, allow_inf_nan=False)]
NaturalFloat = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
Scale = Annotated[float, Field(ge=1e-3, le=1e3, allow_inf_nan=False)]
"""Of weights: float32 holds the variances of deep networks no further."""


Precision = Literal["float32", "float64"]
"""dtype of parameters, or of arithmetic."""

KIND = "Chooses this section."


class Section(BaseModel):
    """Base of all sections: unknown keys are refused, numbers are not made from strings."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
