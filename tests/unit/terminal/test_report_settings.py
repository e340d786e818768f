"""What a report says of settings that its files of configuration do not say."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml

from snakemake_report_plugin_ntkscope.page import write_page
from snakemake_report_plugin_ntkscope.settings import changed_on_the_command_line, of_other_settings


def dag_of(changed: dict[str, Any], others: list[Path], jobs: list[Any]) -> Any:
    """As Snakemake has it: the command line, and the files whose parameters have changed."""
    persistence = SimpleNamespace(params_changed=lambda _, file: file in others)
    settings = SimpleNamespace(config=changed)
    workflow = SimpleNamespace(config_settings=settings, persistence=persistence)
    return SimpleNamespace(workflow=workflow, jobs=jobs)


def test_the_page_says_what_the_command_line_changed_and_what_it_did_not_make(
    tmp_path: Path,
) -> None:
    there, gone = tmp_path / "fits.nc", tmp_path / "gone.nc"
    there.touch()
    jobs = [SimpleNamespace(output=[there]), SimpleNamespace(output=[gone])]
    page = tmp_path / "report.html"

    def text(changed: dict[str, Any], others: list[Path]) -> str:
        dag = dag_of(changed, others, jobs)
        said = changed_on_the_command_line(dag)
        assert (yaml.safe_load(said) or {}) == changed
        write_page(
            page,
            figures=[],
            tables=[],
            jobs=[],
            configfiles=[("config.yaml", "seeds: [0, 1, 2]")],
            changed=said,
            other=of_other_settings(dag),
            link=None,
        )
        return page.read_text(encoding="utf-8")

    plain, changed, other = text({}, []), text({"seeds": [0, 1]}, []), text({}, [there, gone])
    assert "Changed on the command line" not in plain
    assert "Not all of this page" not in plain
    assert "Changed on the command line:</p><pre>seeds:\n- 0\n- 1\n</pre>" in changed
    assert f"settings or code: {there}." in other
