"""Roles: what a regime or a variant is to an analysis, whatever the user calls it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ntkscope.config.analyses import ANALYSES
from ntkscope.config.diagnostics.documents import Key
from ntkscope.config.diagnostics.mistakes import Mistake
from ntkscope.config.sections import Config, Experiment
from ntkscope.config.sections.learning_curves import CurvePart, LearningCurves
from ntkscope.config.sections.models import REGIME_ROLES


def role_mistakes(config: Config) -> Iterator[Mistake]:
    """Roles that an analysis does not know, lacks, or could only guess from a name."""
    yield from _of_regimes(config)
    for name, experiment in config.experiments.items():
        yield from _of_variants(name, experiment)
        yield from _lacking(name, experiment)
    for name, curves in config.learning_curves.items():
        parts: dict[Key, CurvePart] = {("parts", key): part for key, part in curves.parts.items()}
        parts = parts or {(): curves}
        yield from _unknown(name, curves.analysis, parts)
        yield from _alone(name, curves)


def _of_regimes(config: Config) -> Iterator[Mistake]:
    """Regimes without a role that have a role's name, where an analysis goes by roles."""
    asking = [e for e in config.experiments.values() if ANALYSES[e.analysis].regime_roles]
    used = {name for each in asking for name in each.regimes}
    for name, regime in config.regimes.items():
        if name in used and name in REGIME_ROLES and "role" not in regime.model_fields_set:
            yield _nameless(("regimes", name), name)


def _of_variants(name: str, experiment: Experiment) -> Iterator[Mistake]:
    roles, played = ANALYSES[experiment.analysis].roles, set[str]()
    for key, variant in experiment.variants.items():
        where = ("experiments", name, "variants", key)
        if key in roles and "role" not in variant.model_fields_set:
            yield _nameless(where, key)
        if variant.role is None:
            continue
        if variant.role not in roles:
            yield Mistake(
                (*where, "role"),
                f"{variant.role!r} is no role of the analysis {experiment.analysis}",
                allowed=", ".join(roles) or "none: remove role",
            )
        elif variant.role in played:
            yield Mistake(
                (*where, "role"),
                f"another variant of this experiment plays {variant.role} already",
                remedy="give one of them another role, or none",
            )
        played.add(variant.role)


def _alone(name: str, curves: LearningCurves) -> Iterator[Mistake]:
    """Parts of which one plays a role that may not stand without another."""
    played = {part.role for part in curves.parts.values()}
    roles = ANALYSES[curves.analysis]
    for role in roles.needs_roles if played & {*roles.roles} else ():
        if role not in played:
            yield Mistake(
                ("learning_curves", name, "parts"),
                f"the analysis {curves.analysis} needs a part with role: {role} beside the others",
                remedy=f"add a part with role: {role}, or give no part a role",
            )


def _unknown(name: str, analysis: str, parts: Mapping[Key, CurvePart]) -> Iterator[Mistake]:
    """Roles of parts of learning curves that the analysis does not know."""
    roles = ANALYSES[analysis].roles
    for key, part in parts.items():
        if part.role is not None and part.role not in roles:
            yield Mistake(
                ("learning_curves", name, *key, "role"),
                f"{part.role!r} is no role of the analysis {analysis}",
                allowed=", ".join(roles) or "none: remove role",
            )


def _lacking(name: str, experiment: Experiment) -> Iterator[Mistake]:
    """Roles that one of the variants must play and none does."""
    played = {variant.role for variant in experiment.variants.values()}
    for role in ANALYSES[experiment.analysis].needs_roles if experiment.variants else ():
        if role not in played and role not in experiment.variants:
            yield Mistake(
                ("experiments", name, "variants"),
                f"the analysis {experiment.analysis} needs a variant with role: {role}",
                remedy=f"add role: {role} to the variant that is it, or use analysis: table",
            )


def _nameless(where: tuple[str, ...], role: str) -> Mistake:
    """For configurations from before there was a key for it."""
    return Mistake(
        where,
        f"it is called {role!r} but has no role, and a name means nothing any more",
        remedy=f"add role: {role}, or role: null if it is none",
    )
