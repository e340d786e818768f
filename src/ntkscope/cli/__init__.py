"""The command `ntkscope`: run the workflow, see how far it is, open what it made, begin one's own.

The last floor of the house: it may import all others, and nothing imports it. A command is a file
here, with `add` (its arguments) and `run`; what is heavy is imported when a command needs it.
"""

from ntkscope.cli.command import main
from ntkscope.cli.home import snakefile

__all__ = ["main", "snakefile"]
