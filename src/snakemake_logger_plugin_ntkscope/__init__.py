"""What a terminal shows while the workflow runs: a logger plugin of Snakemake, `--logger ntkscope`.

In a terminal one table of the stages stays, with the time left; elsewhere each finished job is a
line. An error is reported once. At the end: the figures, their headline numbers, where the findings
are. A dry run is a table of what would run and why. Snakemake's own log of everything lies in
`.snakemake/log/`, and `--logger-ntkscope-everything` shows it.

May import `ntkscope.config.diagnostics` and `ntkscope.runtime.nearest`, and nothing else of the
library.
"""

from snakemake_logger_plugin_ntkscope.handler import LogHandler
from snakemake_logger_plugin_ntkscope.settings import LogHandlerSettings

__all__ = ["LogHandler", "LogHandlerSettings"]
