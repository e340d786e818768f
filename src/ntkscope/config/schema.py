"""The JSON schema of the configuration, for editors: `python -m ntkscope.config.schema`."""

from __future__ import annotations

import json
from pathlib import Path

from ntkscope.config.sections import Config

SCHEMA_FILE = Path("workflow/config.schema.json")


def schema_text() -> str:
    """The schema as it stands in `workflow/`, with a final newline."""
    schema = Config.model_json_schema()
    for definition in [schema, *schema["$defs"].values()]:
        for field in definition.get("properties", {}).values():
            _accept_single_value(field)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def _accept_single_value(field: dict[str, object]) -> None:
    """A sweep may be written as one value: say so, as the validator that makes the list cannot."""
    is_sweep = field.get("type") == "array" and field.get("minItems") == 1 and "default" in field
    if is_sweep:
        array = {key: field.pop(key) for key in ("type", "minItems", "items")}
        field["anyOf"] = [array["items"], array]


def main() -> None:
    """Write the schema file."""
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")


if __name__ == "__main__":
    main()
