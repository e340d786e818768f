"""The schema file and the README's tables are what the models say."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml
from pydantic import BaseModel

from ntkscope.config import sections
from ntkscope.config.diagnostics.allowed import schema, walk
from ntkscope.config.diagnostics.reference import table, with_tables
from ntkscope.config.schema import README, SCHEMA, schema_text

ROOT = Path(__file__).parents[3]
REMEDY = "run make schema and commit what it writes"
MODELS = [
    model
    for name, model in vars(sections).items()
    if isinstance(model, type) and issubclass(model, BaseModel) and not name.startswith("_")
    if model not in (BaseModel, sections.Section)
]


def test_the_schema_file_is_current() -> None:
    assert (ROOT / SCHEMA).read_text(encoding="utf-8") == schema_text(), REMEDY


def test_the_readme_is_current() -> None:
    text = (ROOT / README).read_text(encoding="utf-8")
    assert with_tables(text) == text, REMEDY


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_the_readme_has_every_key_of(model: type[BaseModel]) -> None:
    text = (ROOT / README).read_text(encoding="utf-8")
    assert table(model.__name__) in text
    missing = [key for key in model.model_fields if f"| `{key}` |" not in table(model.__name__)]
    assert missing == []


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_key_is_described(model: type[BaseModel]) -> None:
    assert [key for key, field in model.model_fields.items() if not field.description] == []


def test_walk_meets_every_section() -> None:
    paths = set(walk())
    assert ("experiments", "*", "stream", "epsilon") in paths
    assert {model.__name__ for model in MODELS} == {"Config", *schema()["$defs"]}


@pytest.mark.parametrize("preset", sorted(ROOT.glob("config/*.yaml")), ids=lambda file: file.stem)
def test_presets_are_valid(preset: Path) -> None:
    jsonschema.validate(yaml.safe_load(preset.read_text(encoding="utf-8")), schema())


@pytest.mark.parametrize(
    ("key", "value", "valid"),
    [
        ("width", 64, True),
        ("width", [64, 128], True),
        ("width", [], False),
        ("width", [64, 64], False),
        ("width", 0, False),
        ("widht", 64, False),
    ],
)
def test_a_sweep_is_one_value_or_a_list(key: str, value: object, valid: bool) -> None:
    check = jsonschema.Draft202012Validator({"$ref": "#/$defs/MLP", "$defs": schema()["$defs"]})
    assert check.is_valid({"kind": "mlp", key: value}) == valid


@pytest.mark.parametrize("seeds", [0, [], [0, 0], [-1]])
def test_seeds_are_a_list(seeds: object) -> None:
    field = schema()["properties"]["seeds"]
    assert not jsonschema.Draft202012Validator(field).is_valid(seeds)


def test_names_are_checked() -> None:
    check = jsonschema.Draft202012Validator({**schema()["properties"]["regimes"], **_defs()})
    assert check.is_valid({"lazy": {}})
    assert not check.is_valid({"La-zy": {}})


def _defs() -> dict[str, object]:
    return {"$defs": schema()["$defs"]}
