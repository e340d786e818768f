"""Completion of the command line in a shell, made from the parser itself."""

from __future__ import annotations

import argparse

from ntkscope.cli.command import commands_of, options_of

_BASH = """\
_ntkscope() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" command="${{COMP_WORDS[1]}}" words
  if [ "$COMP_CWORD" -eq 1 ]; then command=; fi
  case "$command" in
{cases}
    *) words="{top}" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  case "$word" in -*) ;; *) [ -n "$command" ] && COMPREPLY+=($(compgen -f -- "$word")) ;; esac
}}
complete -o filenames -F _ntkscope ntkscope
"""
_FIGURES = "$(cd figures 2> /dev/null && find . -name '*.pdf' | sed 's|^./||; s|.pdf$||')"
_EXPERIMENTS = "$(ls results/experiments 2> /dev/null)"
_ALREADY = {"run": _FIGURES, "open": _EXPERIMENTS}
"""What a shell can see that a command may be asked for."""


def script(shell: str, parser: argparse.ArgumentParser) -> str:
    """The completion script of `bash` or `zsh`."""
    cases = "\n".join(
        f'    {name}) words="{" ".join([*options_of(one), _ALREADY.get(name, "")]).strip()}" ;;'
        for name, one in commands_of(parser).items()
    )
    text = _BASH.format(cases=cases, top=" ".join([*commands_of(parser), *options_of(parser)]))
    return text if shell == "bash" else f"autoload -U +X bashcompinit && bashcompinit\n{text}"
