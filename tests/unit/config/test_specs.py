"""Values and defaults of runs are written once, in the sections of the configuration."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import get_args

from ntkscope.config import expand, load_files, sections, specs
from ntkscope.config.curves import expand_curves
from ntkscope.config.diagnostics.allowed import kinds_of, schema
from ntkscope.config.sections.models import ModelKind

SECTIONS = [vars(sections)[name] for name in sections.__all__ if name not in ("NAME", "IDENTIFIER")]
KEYS = {key for each in SECTIONS for key in getattr(each, "model_fields", ())}


def test_no_default_of_the_configuration_is_written_in_a_spec() -> None:
    tree = ast.parse(Path(specs.__file__).read_text(encoding="utf-8"))
    fields = [
        (node.target.id, node.value)
        for each in ast.walk(tree)
        if isinstance(each, ast.ClassDef)
        for node in each.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    ]
    written = {key for key, value in fields if isinstance(value, ast.Constant)}
    meant = {"class_list", "train_samples", "test_samples", "function", "classes"}  # None: absent
    assert (written & KEYS) - meant - {"weight_std", "bias_std"} == set()
    assert len(fields) > 30


def test_no_choice_is_written_in_a_spec() -> None:
    assert "Literal[" not in Path(specs.__file__).read_text(encoding="utf-8")
    assert list(get_args(ModelKind)) == kinds_of(
        schema()["$defs"]["Experiment"]["properties"]["model"]
    )


def test_the_defaults_of_a_run_are_those_of_the_configuration() -> None:
    assert specs.SnapshotSpec().model_dump() == sections.Snapshots().model_dump()
    assert specs.SnapshotSpec().log_spaced == 10
    assert specs.OptimizerSpec(learning_rate=1).momentum == sections.Training().momentum[0]


def test_what_is_made_of_a_spec_once_is_not_kept_by_its_copies() -> None:
    config = load_files(Path(__file__).parents[3] / "config/test/mini.yaml")
    run, networks = expand(config, "reactivation")[0].run, expand_curves(config, "scaling")[0]
    assert run.parent is run.parent
    for spec in (run, networks.networks, networks.regressions[0]):
        same = type(spec).model_validate_json(spec.model_dump_json())
        assert (same, same.id, hash(same)) == (spec, spec.id, hash(spec))
        other = {"seeds": (7,)} if spec is run else {"test": 7}
        assert spec.model_copy(update=other).id != spec.id == spec.model_copy().id
    assert run.model_copy(update={"seeds": (7,)}).parent != run.parent
