"""Options of the plugin, as Snakemake's command line has them.

(Snakemake reads the types of the fields: no postponed annotations here.)
"""

from dataclasses import dataclass, field

from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    """`--logger-ntkscope-everything`."""

    everything: bool = field(
        default=False, metadata={"help": "Show all that Snakemake says, in its own words."}
    )
