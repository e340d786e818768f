"""`main`: read the command line, call the command, tell errors in the house's form."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from textwrap import dedent, indent
from typing import NoReturn

from ntkscope.cli import home, new, opening, remake, run, status, verify
from ntkscope.errors import NtkscopeError
from ntkscope.runtime.nearest import did_you_mean

COMMANDS = {
    **{"run": run, "status": status, "verify": verify, "remake": remake},
    **{"open": opening, "new": new},
}
SHELLS = ("bash", "zsh")
_STOPPED = 130
"""Exit status after Ctrl-C, as of a shell."""


class Parser(argparse.ArgumentParser):
    """An argument parser that tells mistakes in the house's form; exit status 2."""

    def error(self, message: str) -> NoReturn:
        """Tell a mistake in the command line, and end."""
        self.exit(2, f"{NtkscopeError(message, remedy=f'{self.prog} --help')}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: of the command line; None: those of this process.

    Returns:
        0: all is well; 1: an error, which was told; 2: not a command line.
    """
    try:
        status = _run(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
        return status
    except NtkscopeError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except OSError as error:
        told = NtkscopeError(error.strerror or str(error), where=error.filename)
        print(told, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return _STOPPED


def _run(words: list[str]) -> int:
    words, passed_on = _split(words)
    if words[:1] == ["help"]:
        words = [*words[1:2], "--help"]
    unknown = [word for word in words[:1] if word[:1] != "-" and word not in COMMANDS]
    if unknown:
        print(_no_such_command(unknown[0]), file=sys.stderr)
        return 2
    parser = make_parser()
    args, left = parser.parse_known_args(words)
    if left:
        _refuse(left, args.command, parser)
    if args.completion:
        from ntkscope.cli.completion import script

        print(script(args.completion, parser), end="")
        return 0
    if args.command is None:
        parser.print_help()
        return 0
    to_snakemake = args.command == "run" or getattr(args, "why", None) is not None
    if passed_on and not to_snakemake:
        but = " but with --why" if args.command == "status" else ""
        commands_of(parser)[args.command].error(
            f"{args.command} hands nothing on{but}: {' '.join(passed_on)} after --"
        )
    return int(COMMANDS[args.command].run(args, passed_on))


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = Parser("ntkscope", description="Watch a network's neural tangent kernel (NTK).")
    parser.add_argument("--version", action="version", version=f"ntkscope {home.version()}")
    parser.add_argument(
        "--completion",
        choices=SHELLS,
        help='completion of a shell: eval "$(ntkscope --completion bash)"',
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    for name, module in COMMANDS.items():
        summary, _, examples = str(module.__doc__).strip().partition("\n\n")
        one = commands.add_parser(
            name,
            help=summary,
            description=f"{summary}\n\nexamples:\n{indent(dedent(examples), '  ')}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add(one)
    return parser


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parser of each command."""
    (found,) = (a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return dict(found)


def options_of(parser: argparse.ArgumentParser) -> list[str]:
    """The options of a parser, without their short forms."""
    return [word for action in parser._actions for word in action.option_strings if word[1] == "-"]


def _refuse(left: list[str], command: str | None, parser: argparse.ArgumentParser) -> NoReturn:
    """Tell of words that a command does not know, and end."""
    commands = commands_of(parser)
    one = commands[command] if command else parser
    option = next((word.partition("=")[0] for word in left if word[:1] == "-"), None)
    remedy = f"{one.prog} --help"
    if option is None:
        what = f"{one.prog} has no place for {left[0]!r}"
    else:
        hint = did_you_mean(option, options_of(one))
        what = f"{one.prog} has no option {option}{hint}"
        others = [other.prog for other in commands.values() if option in options_of(other)]
        if others:
            remedy = f"{' and '.join(others)} can be told {option}"
        elif command == "run" and option == "--preset":
            remedy = f"a preset stands before the figure's name: {one.prog} PRESET/FIGURE"
        elif command == "run" and not hint:
            remedy = f"Snakemake's own options stand behind --: {one.prog} … -- {' '.join(left)}"
    one.exit(2, f"{NtkscopeError(what, remedy=remedy)}\n")


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """What stands before and after the first `--`."""
    if "--" not in words:
        return words, []
    place = words.index("--")
    return words[:place], words[place + 1 :]


def _no_such_command(word: str) -> NtkscopeError:
    hint = did_you_mean(word, COMMANDS)
    return NtkscopeError(
        f"ntkscope has no command {word!r}{hint}", remedy=f"one of {', '.join(COMMANDS)}"
    )
