"""The report's first page: a report plugin of Snakemake (`--reporter ntkscope`).

The verdicts, every figure with its caption beside it, and where all of it is from, as one HTML file
that needs no other and no network. It reads what the workflow made; it computes nothing.

(Snakemake reads the types of the settings: no postponed annotations here.)
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from snakemake_interface_report_plugins.reporter import ReporterBase
from snakemake_interface_report_plugins.settings import ReportSettingsBase

from snakemake_report_plugin_ntkscope.page import write_page
from snakemake_report_plugin_ntkscope.settings import changed_on_the_command_line, of_other_settings


@dataclass
class ReportSettings(ReportSettingsBase):  # type: ignore[misc]
    """`--report-ntkscope-path` and `--report-ntkscope-link`."""

    path: Optional[Path] = field(  # noqa: UP045
        default=None, metadata={"help": "The HTML file.", "required": True}
    )
    link: Optional[str] = field(  # noqa: UP045
        default=None, metadata={"help": "Address of Snakemake's own report, seen from that file."}
    )


class Reporter(ReporterBase):  # type: ignore[misc]
    """Writes the page."""

    def render(self) -> None:
        """As the settings say."""
        records = [
            each for subs in self.results.values() for part in subs.values() for each in part
        ]
        write_page(
            Path(self.settings.path),
            figures=[each for each in records if str(each.path).endswith(".png")],
            tables=[each for each in records if str(each.path).endswith(".csv")],
            jobs=self.jobs,
            configfiles=[(str(each.path), each.source) for each in self.configfiles],
            changed=changed_on_the_command_line(self.dag),
            other=of_other_settings(self.dag),
            link=self.settings.link,
        )
