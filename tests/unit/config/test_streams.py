"""What stream sections mean, and what makes two runs one."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ntkscope.config import expand, load_config, load_files, runs_of
from ntkscope.config.streams import tasks_of
from ntkscope.errors import ConfigError


def stream(kind, **keys):
    return tasks_of({"kind": kind, "order_seed": None, "steps": 5, "change": "abrupt", **keys}, 10)


def test_class_split():
    first, second = stream("class_split", tasks=2, classes_per_task=5)
    assert first.classes == first.labels == (0, 1, 2, 3, 4)
    assert second.classes == second.labels == (5, 6, 7, 8, 9)


def test_a_gradual_split_fades_from_one_block_to_the_next():
    first, second, third = stream("class_split", tasks=3, classes_per_task=2, change="gradual")
    assert (first.classes, first.weights) == ((0, 1), None)
    assert second.classes == second.labels == (0, 1, 2, 3)
    assert second.weights == (0.5, 0.5, 0, 0)
    assert second.weights_end == (0, 0, 0.5, 0.5)
    assert (third.classes, third.weights_end) == ((2, 3, 4, 5), (0, 0, 0.5, 0.5))


@given(st.integers(0, 100))
def test_a_seeded_order_uses_each_class_once(seed):
    tasks = stream("class_split", tasks=5, classes_per_task=2, order_seed=seed)
    assert sorted(c for task in tasks for c in task.classes) == list(range(10))


@pytest.mark.parametrize("new", range(6))
def test_overlap_runs_from_all_to_none(new):
    swap, add = (
        [set(t.classes) for t in stream("overlap", classes=5, new_classes=new, protocol=p)]
        for p in ("swap", "add")
    )
    assert len(swap[1]) == 5
    assert len(swap[0] & swap[1]) == 5 - new
    assert add[0] <= add[1]
    assert len(add[1]) == 5 + new


def test_frequencies_are_probabilities_that_swap():
    first, second = stream("frequency", classes=4, epsilon=0.1, alpha="stepped")
    np.testing.assert_allclose(first.weights, np.array([1, 1, 0.1, 0.1]) / 2.2)
    np.testing.assert_allclose(second.weights, first.weights[::-1])
    assert second.weights_end is None
    ramped = stream("frequency", classes=4, epsilon=0.1, alpha="ramped")[1]
    assert ramped.weights == first.weights
    assert ramped.weights_end == second.weights


def test_relabelling():
    shift = stream("relabel", tasks=2, classes=5, change="shift")
    assert shift[0].classes == shift[1].classes
    assert shift[1].labels == (5, 6, 7, 8, 9)
    inputs = stream("relabel", tasks=2, classes=5, change="inputs")
    assert inputs[1].classes == (5, 6, 7, 8, 9)
    assert inputs[1].labels == inputs[0].labels
    for task in stream("relabel", tasks=20, classes=5, change="permute")[1:]:
        assert sorted(task.labels) == [0, 1, 2, 3, 4]
        assert all(a != b for a, b in zip(task.labels, task.classes, strict=True))


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("class_split", {"tasks": 2, "classes_per_task": 6}),
        ("overlap", {"classes": 6, "new_classes": 5, "protocol": "add"}),
        ("overlap", {"classes": 3, "new_classes": 4, "protocol": "swap"}),
        ("frequency", {"classes": 1, "epsilon": 0.1, "alpha": "stepped"}),
        ("relabel", {"tasks": 3, "classes": 5, "change": "shift"}),
        ("relabel", {"tasks": 2, "classes": 1, "change": "permute"}),
        ("single", {"classes": 11}),
    ],
)
def test_impossible_streams_are_refused(kind, keys):
    with pytest.raises(ValueError, match=r"classes|replace|needs"):
        stream(kind, **keys)


def test_runs_are_shared_where_they_are_equal():
    config = load_files("config/config.yaml")
    cells = {(c.axes["regime"], c.axes["width"]): c for c in expand(config, "reactivation")}
    # lazy is 12.8 / width: at width 128 it is the feature regime's rate
    assert cells["lazy", 128].run == cells["feature", 128].run
    assert cells["lazy", 256].run != cells["feature", 256].run
    assert len(cells) == 15
    runs = {run for cell in cells.values() for run in (*cell.run.lineage, cell.twin)}
    assert len(runs) == 3 * 14
    assert runs < set(runs_of(config).values())
    for cell in cells.values():
        assert cell.run.parent == cell.twin.parent
        assert cell.run.parent.parent is None
        assert cell.run.boundaries == cell.twin.boundaries == (300,)
        assert cell.twin.tasks[1].classes == cell.run.tasks[0].classes


def test_ids_are_stable():
    """A changed id retrains every run of every user: change `_FORMAT` knowingly instead."""
    cell = expand(load_files("config/config.yaml"), "reactivation")[0]
    assert cell.run.id.startswith("mlp-w64-lr0.1-t2-")
    assert cell.kernel.id.startswith("trace-n100-")
    again = type(cell.run).model_validate_json(cell.run.model_dump_json())
    assert again == cell.run
    assert again.id == cell.run.id


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"stream": {"kind": "single"}}, "needs a boundary"),
        ({"twin": False}, "twin is false"),
        ({"training": {"batch_size": [32, 64]}}, "not batch_size"),
    ],
)
def test_what_reactivation_cannot_compare_goes_into_a_table(change, says):
    values = yaml.safe_load(Path("config/config.yaml").read_text(encoding="utf-8"))
    values["experiments"]["reactivation"].update(change)
    with pytest.raises(ConfigError, match=says):
        load_config(values)
    values["experiments"]["reactivation"]["analysis"] = "table"
    assert load_config(values)


def test_an_experiment_of_probes_of_one_class_has_no_alignment_and_says_so(caplog):
    """Once; and not where another variant has one, as in the paper's own figure."""
    values = yaml.safe_load(Path("config/test/mini.yaml").read_text())
    name = next(iter(values["experiments"]))
    for classes, said in ((2, 0), (1, 1), (1, 1)):
        values["experiments"][name]["stream"] = {
            "kind": "class_split",
            "tasks": 2,
            "classes_per_task": classes,
            "steps": 30,
        }
        expand(load_config(values), name)
        assert caplog.text.count("is of one class") == said
    caplog.clear()
    expand(load_files("config/config.yaml"), "sequence")
    assert not caplog.text
