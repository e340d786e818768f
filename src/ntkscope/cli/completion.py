"""Completion of the command line in a shell, made from the parser itself."""

from __future__ import annotations

import argparse

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
    (commands,) = (
        action.choices
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    cases = "\n".join(
        f'    {name}) words="{" ".join([*_options(one), _ALREADY.get(name, "")]).strip()}" ;;'
        for name, one in commands.items()
    )
    text = _BASH.format(cases=cases, top=" ".join([*commands, *_options(parser)]))
    return text if shell == "bash" else f"autoload -U +X bashcompinit && bashcompinit\n{text}"


def _options(parser: argparse.ArgumentParser) -> list[str]:
    return [word for action in parser._actions for word in action.option_strings if word[1] == "-"]
