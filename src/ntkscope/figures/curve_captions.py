"""Captions of learning curves: templates filled from the two tables of their experiment.

As `captions`. What each placeholder says:

* `$parts`: each panel's part: task, network, samples.
* `$seeds`, `$test`: how many seeds, and test samples of each; `$confidence`: such as `95%`.
* `$n`: training samples of the networks; `$n_kernels`: samples of the regressions.
* `$range`: the range of n of the fits; `$left_out`: which points of it are in no fit, and why.
* `$errors`: what the error is; `$kernels`: conventions of the kernels.
* `$after`, `$during`: whether there are such kernels, for `[if after: …]`.
* `$ridge`: how it was chosen, how often at the grid's edge, and which systems were not solved
  directly; `$flags`: what to beware of.
* what the figure's module adds (its `words`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ntkscope.config.setup_in_words import NETWORKS
from ntkscope.figures.captions import fill_template


def fill_curve_caption(
    template: Path | str,
    curves: xr.Dataset,
    fits: xr.Dataset,
    labels: Mapping[str, str],
    more: Mapping[str, str],
) -> str:
    """The caption of a figure of learning curves, as `captions.fill_caption`.

    Its tables are of the kinds `learning_curves` and `curve_fits`; labels: part → name as printed.
    """
    return fill_template(template, _common(curves, fits, labels) | dict(more))


def _common(curves: xr.Dataset, fits: xr.Dataset, labels: Mapping[str, str]) -> dict[str, str]:
    names = _names(curves, labels)
    networks = curves["curve"].values == "network"
    return {
        "parts": parts_in_words(curves, names),
        "seeds": str(curves.sizes["seed"]),
        "test": _numbers(json.loads(curves.attrs["test"]).values()),
        "confidence": f"{100 * float(fits.attrs['confidence']):g}%",
        "n": _numbers(curves["n"].values[networks]),
        "n_kernels": _numbers(curves["n"].values[~networks]),
        "range": range_in_words(fits),
        "left_out": left_out_in_words(fits, names) or "none",
        "errors": errors_in_words(curves, names),
        "kernels": kernels_in_words(curves),
        "ridge": ridge_in_words(curves),
        "flags": flags_in_words(curves) or "none",
        **{kind: kind if kind in curves["curve"].values else "" for kind in ("after", "during")},
    }


def _names(curves: xr.Dataset, labels: Mapping[str, str]) -> dict[str, str]:
    """Part → its name as printed, in the order of the table."""
    found = zip(curves["part"].values.tolist(), curves["label"].values.tolist(), strict=True)
    return {
        part: " ".join((labels.get(part) or label or part.replace("_", " ")).split())
        for part, label in found
    }


def parts_in_words(curves: xr.Dataset, names: Mapping[str, str]) -> str:
    """The parts of each task and network: `digit pairs (MLP, width 64): base, logistic loss`."""
    found: dict[str, list[str]] = {}
    for part, name in names.items():
        own = curves["part"].values == part
        rows = curves.isel(row=own & (curves["curve"].values == "network"))
        kinds = [
            NETWORKS.get(kind, kind) for kind in dict.fromkeys(rows["network"].values.tolist())
        ]
        wide = f", width {_numbers(rows['width'].values)}" if kinds else ""
        if curves.attrs.get("analysis") != "width" and len(set(rows["width"].values)) > 1:
            wide += f", of which {rows['width'].values.max()} is drawn"
        title = str(curves["title"].values[own][0])
        network = f"{', '.join(kinds) or 'no network'}{wide}"
        found.setdefault(f"{title} ({network})", []).append(name)
    return "; ".join(f"{task}: {', '.join(parts)}" for task, parts in found.items())


def range_in_words(fits: xr.Dataset) -> str:
    """Least and most n of the fits."""
    least, most = (int(n) for n in fits.attrs["range"])
    return f"{least} to {most}"


def errors_in_words(curves: xr.Dataset, names: Mapping[str, str]) -> str:
    """What is drawn as the error of each part."""
    currency = json.loads(curves.attrs["currency"])
    squared = [name for part, name in names.items() if currency[part] == "squared"]
    if not squared:
        return "0–1 error"
    text = "squared error over the variance of the targets"
    return text if len(squared) == len(names) else f"0–1 error (in {', '.join(squared)}: {text})"


def kernels_in_words(curves: xr.Dataset) -> str:
    """Conventions of the kernels that there are."""
    kinds, facts = set(curves["curve"].values.tolist()), _facts(curves)
    conventions = []
    if kinds & {"initial", "after", "during"}:
        ensemble = _told(facts, "ensemble")
        mean = f", K_0 the mean of {ensemble} initialisations'" if ensemble not in ("", "1") else ""
        conventions.append(
            "empirical kernels are trace NTKs of the one output, Θ = J Jᵀ, in the network's own "
            f"parametrisation{mean}"
        )
    if "infinite" in kinds:
        stds = [_told(facts, name) for name in ("weight_std", "bias_std")]
        values = f" with W_std = {stds[0]}, b_std = {stds[1]}" if all(stds) else ""
        conventions.append(f"K_∞ is the infinite network's NTK in the NTK parametrisation{values}")
    return "; ".join(conventions) or "none"


def ridge_in_words(curves: xr.Dataset) -> str:
    """How ridges were chosen, and how many regressions chose the grid's edge."""
    facts = _facts(curves)
    criterion = {"zero_one": "0–1 error (ties: squared error)", "squared": "squared error"}
    by = criterion.get(_told(facts, "criterion"), "")
    grid = _told(facts, "ridges")
    most = _told(facts, "leave_one_out_most")
    text = "leave-one-out" + (f" by {by}" if by else "")
    text += f" over {grid} of the kernel's mean diagonal" if grid else ""
    text += f", from n = {most} on the ridge chosen there" if most else ""
    edge = curves["ridge_edge"].values
    made = np.isfinite(edge)
    low, high = int((edge[made] < 0).sum()), int((edge[made] > 0).sum())
    text += f"; at the grid's lowest in {low} and at its highest in {high} of {made.sum()}"
    return text + _steps_in_words(curves)


def _steps_in_words(curves: xr.Dataset) -> str:
    """Of which n kernels were solved by conjugate gradients, and how well; empty if of none."""
    residual = curves["residual"].values if "residual" in curves else np.zeros((0, 0))
    if not (residual > 0).any():
        return ""
    n = _numbers(curves["n"].values[(residual > 0).any(axis=1)])
    return (
        f"; {int((residual > 0).sum())} systems (n = {n}), which memory did not hold, by conjugate "
        f"gradients to a relative residual of {np.nanmax(residual):.0e} or less"
    )


def flags_in_words(curves: xr.Dataset) -> str:
    """Networks that diverged, and those whose best step is the last of their budget."""
    flags = []
    ended = (curves["curve"].values == "network") & (curves["step"].values < 0)
    for name, words in (
        ("diverged", "diverged"),
        ("best_is_last", "were best at the last step of their budget"),
    ):
        flagged = (curves[name].values > 0) & ended[:, None]
        if flagged.any():
            n = _numbers(curves["n"].values[flagged.any(axis=1)])
            flags.append(f"{int(flagged.sum())} networks {words} (n = {n})")
    return "; ".join(flags)


def _first(names: Sequence[str], most: int = 8) -> str:
    """The first few, and how many more the experiment's table.csv names."""
    more = f" and {len(names) - most} more curves (table.csv)" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def left_out_in_words(fits: xr.Dataset, names: Mapping[str, str]) -> str:
    """Points of the range that are in no fit, by reason: `above 0.4: K_0 (width 64) at 500`."""
    found: dict[str, dict[str, list[int]]] = {}
    several = len(names) > 1
    curves = [_curve(fits.isel(curve_row=row)) for row in range(fits.sizes["curve_row"])]
    parts = [names.get(part, part) for part in fits["part"].values.tolist()]
    for row, n, why in zip(
        *(fits[name].values.tolist() for name in ("point_curve", "point_n", "point_reason")),
        strict=True,
    ):
        if why and why != "outside the range":
            name = f"{parts[row]}, {curves[row]}" if several else curves[row]
            found.setdefault(_reason(why), {}).setdefault(name, []).append(n)
    return "; ".join(
        f"{why}: {_first([f'{name} at {_numbers(n)}' for name, n in left.items()])}"
        for why, left in found.items()
    )


def _reason(why: str) -> str:
    """A reason without the point's own number."""
    _, above, most = why.partition("above ")
    return f"above {most}, too near to chance" if above else why


def _curve(one: xr.Dataset) -> str:
    kind = str(one["curve"].item())
    width, m, step = (int(one[name]) for name in ("width", "trained_on", "step"))
    fresh, own = ("^F", "") if str(one["fit"].item()) == "fresh" else ("", ", own samples")
    return {
        "network": "network",
        "infinite": "K_∞",
        "initial": f"K_0 (width {width})",
        "after": f"K{fresh}_{m}",
        "during": f"K^{step}{own}",
    }[kind]


def _facts(curves: xr.Dataset) -> Mapping[str, Any]:
    return dict(json.loads(curves.attrs.get("facts", "{}")))


def _told(facts: Mapping[str, Any], name: str) -> str:
    """A fact in words; of parts that differ in it, each one's; empty where nobody says."""
    texts = [_say(value) for value in _values(facts, name) if value is not None]
    return " or ".join(dict.fromkeys(texts))


def _values(facts: Mapping[str, Any], name: str) -> Iterator[Any]:
    """The values under a name at any depth: facts are those of a part's kernels."""
    for key, value in facts.items():
        if key == name:
            yield value
        elif isinstance(value, Mapping):
            yield from _values(value, name)


def _say(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"{value[0]:g} to {value[-1]:g} ({len(value)} values)" if value else ""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _numbers(values: Iterable[Any]) -> str:
    """Each number once, ascending; of more than four the least and the most."""
    numbers = sorted({int(value) for value in values})
    if len(numbers) > 4:
        return f"{numbers[0]} to {numbers[-1]}"
    return ", ".join(map(str, numbers)) or "none"
