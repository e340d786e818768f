"""The JSON schema of the configuration, for editors, and the tables of config/README.md.

`python -m ntkscope.config.schema`, in the repository, writes both.
"""

from __future__ import annotations

import json
from pathlib import Path

from ntkscope.config.diagnostics.allowed import schema
from ntkscope.config.diagnostics.reference import with_tables

SCHEMA = Path("workflow/config.schema.json")
README = Path("config/README.md")


def schema_text() -> str:
    """The schema as it stands in `workflow/`, with a final newline."""
    return json.dumps(schema(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the schema and the tables of the README."""
    SCHEMA.write_text(schema_text(), encoding="utf-8")
    README.write_text(with_tables(README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
