"""Labels that figures print: what stands between two dollar signs is typeset as mathematics."""

from __future__ import annotations

from collections.abc import Iterator

from ntkscope.config.diagnostics.mistakes import Mistake
from ntkscope.config.diagnostics.origins import Key
from ntkscope.config.sections import Config


def label_mistakes(config: Config) -> Iterator[Mistake]:
    """Labels that Matplotlib cannot typeset, which would end a figure after all training."""
    for key, label in _labels(config):
        if label is not None and "$" in label and not _can_be_typeset(label):
            yield Mistake(
                key,
                f"{label!r} cannot be typeset: what stands between two $ is mathematics",
                remedy=r"write a plain dollar sign as \$, or mend the formula",
            )


def _labels(config: Config) -> Iterator[tuple[Key, str | None]]:
    for name, regime in config.regimes.items():
        yield ("regimes", name, "label"), regime.label
    for name, curves in config.learning_curves.items():
        yield ("learning_curves", name, "label"), curves.label
        for key, part in curves.parts.items():
            yield ("learning_curves", name, "parts", key, "label"), part.label


def _can_be_typeset(label: str) -> bool:
    from matplotlib.mathtext import MathTextParser  # 0.2 s, for labels with a formula only

    try:
        MathTextParser("path").parse(label)
    except ValueError:
        return False
    return True
