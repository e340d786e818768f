"""Presets load alone and over the default; what a change reruns is what the README says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from ntkscope.config import Config, expand, load_config, load_files, runs_of
from ntkscope.config.curves import expand_curves
from ntkscope.errors import ConfigError

ROOT = Path(__file__).parents[3]
PRESETS = sorted(ROOT.glob("config/*.yaml"))
OF_STREAMS = [file for file in PRESETS if file.stem not in ("cnn", "gpu")]
"""Presets of both papers; the others add learning curves to the default's, or stand alone."""
EXPERIMENT = ("experiments", "reactivation")


@pytest.mark.parametrize("preset", OF_STREAMS, ids=lambda file: file.stem)
def test_a_preset_is_the_same_alone_and_over_the_default(preset: Path, file: str) -> None:
    alone, merged = load_files(preset), load_files(file, preset)
    assert merged == alone
    cells = expand(alone, "reactivation")
    widths = alone.experiments["reactivation"].model.width
    assert len(cells) == 3 * len(widths)
    assert all(cell.twin is not None and cell.twin.parent == cell.run.parent for cell in cells)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda file: file.stem)
def test_a_preset_is_named_as_its_file(preset: Path) -> None:
    name = "digits" if preset.stem == "config" else preset.stem
    assert load_files(preset).preset == name


@pytest.mark.parametrize("preset", PRESETS, ids=lambda file: file.stem)
def test_a_preset_loads_over_the_default_too(preset: Path, file: str) -> None:
    assert load_files(file, preset).preset == load_files(preset).preset


@pytest.mark.parametrize(
    "preset", [file for file in PRESETS if file.stem != "cnn"], ids=lambda file: file.stem
)
def test_a_network_and_the_infinite_kernel_have_an_exponent_on_the_same_samples(
    preset: Path,
) -> None:
    config = load_files(preset)
    for name, section in config.learning_curves.items():
        least, most = section.fits.range
        for curves in expand_curves(config, name):
            trained = {n for n in curves.networks.sizes if least <= n <= most}
            limits = [each for each in curves.regressions if each.source == "infinite"]
            if len(trained) > 1:
                assert all(len(trained & {*each.sizes}) >= 3 for each in limits), curves.part


@pytest.mark.parametrize("preset", PRESETS, ids=lambda file: file.stem)
def test_fits_end_with_the_kernels_however_far_networks_go(preset: Path) -> None:
    config = load_files(preset)
    for name, section in config.learning_curves.items():
        if section.analysis == "width":
            continue  # its fits are over widths
        regressions = [each for part in expand_curves(config, name) for each in part.regressions]
        assert section.fits.range[1] <= max(each.sizes[-1] for each in regressions), name


@pytest.mark.parametrize("preset", OF_STREAMS, ids=lambda file: file.stem)
def test_lazy_is_feature_at_width_128(preset: Path) -> None:
    cells = expand(load_files(preset), "reactivation")
    runs = {(cell.axes["regime"], cell.axes["width"]): cell.run.id for cell in cells}
    assert runs["lazy", 128] == runs["feature", 128]


def ids(config: Config) -> tuple[set[str], set[str]]:
    """All runs and all kernels of the reactivation figure."""
    cells = expand(config, "reactivation")
    only = config.model_copy(
        update={"experiments": {"reactivation": config.experiments["reactivation"]}}
    )
    return set(runs_of(only)), {cell.kernel.id for cell in cells}


def changed(values: dict[str, Any], path: tuple[str, ...], value: Any) -> Config:
    section = values
    for part in path[:-1]:
        section = section.setdefault(part, {})
    section[path[-1]] = value
    return load_config(values)


@pytest.mark.parametrize(
    ("own", "refused"),
    [
        ("preset: digits\nseeds: [0, 1]\n", True),
        ("seeds: [0, 1]\n", True),
        ("experiments: {reactivation: {figure: {palette: mako}}}\n", True),
        ("preset: mine\nseeds: [0, 1]\n", False),
        ("resources: {gpu: 1}\ndataset: {download: true}\n", False),
    ],
)
def test_a_file_of_ones_own_never_overwrites_the_defaults_figures(
    own: str, refused: bool, file: str, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(own, encoding="utf-8")
    if not refused:
        load_files(file, mine)
        return
    with pytest.raises(ConfigError) as caught:
        load_files(file, mine)
    assert "preset: digits is the preset of config/config.yaml" in str(caught.value)
    assert f"write a preset of its own into {mine}" in str(caught.value)


COSMETIC = [
    (("preset",), "other"),
    (("dataset", "root"), "."),
    (("dataset", "download"), True),
    (("regimes", "lazy", "label"), "other"),
    (("regimes", "lazy", "role"), None),
    (("experiments", "controls", "variants", "gradual", "role"), None),
    (("resources", "gpu"), 1),
    (("resources", "keep_snapshots"), False),
    ((*EXPERIMENT, "figure", "palette"), "mako"),
    ((*EXPERIMENT, "fits", "window"), 10),
]
KERNELS = [
    ((*EXPERIMENT, "probe", "samples"), 50),
    ((*EXPERIMENT, "probe", "seed"), 1),
    ((*EXPERIMENT, "probe", "task"), 2),
    ((*EXPERIMENT, "kernel", "kind"), "pseudo"),
    ((*EXPERIMENT, "kernel", "precision"), "float64"),
]
ALL_RUNS = [
    (("dataset", "train_samples"), 1000),
    (("seeds",), [0, 1]),
    ((*EXPERIMENT, "model", "depth"), 3),
    ((*EXPERIMENT, "stream", "steps"), 100),
    ((*EXPERIMENT, "training", "batch_size"), 32),
    ((*EXPERIMENT, "training", "evaluation_samples"), 150),
    ((*EXPERIMENT, "snapshots", "log_spaced"), 5),
]


@pytest.mark.parametrize(("path", "value"), COSMETIC)
def test_a_cosmetic_change_reruns_nothing(
    path: tuple[str, ...], value: Any, values: dict[str, Any]
) -> None:
    before = ids(load_config(values))
    assert ids(changed(values, path, value)) == before


@pytest.mark.parametrize(("path", "value"), KERNELS)
def test_a_change_of_probe_or_kernel_trains_nothing(
    path: tuple[str, ...], value: Any, values: dict[str, Any]
) -> None:
    runs, kernels = ids(load_config(values))
    runs_now, kernels_now = ids(changed(values, path, value))
    assert (runs_now, kernels_now & kernels) == (runs, set())


@pytest.mark.parametrize(("path", "value"), ALL_RUNS)
def test_a_change_of_training_makes_other_runs(
    path: tuple[str, ...], value: Any, values: dict[str, Any]
) -> None:
    runs, _ = ids(load_config(values))
    assert ids(changed(values, path, value))[0] & runs == set()


def test_a_value_more_in_a_sweep_keeps_all_runs(values: dict[str, Any]) -> None:
    runs, _ = ids(load_config(values))
    path = (*EXPERIMENT, "model", "width")
    assert ids(changed(values, path, [64, 128, 256, 512, 1024, 2048]))[0] > runs


def test_examples_of_the_readme_load(
    file: str, values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mynets.py").write_text("def build(shape, outputs, width, residual): ...")
    (tmp_path / "mine").mkdir()
    arrays = {"inputs": np.eye(1000), "labels": np.arange(1000) % 10}
    np.savez(tmp_path / "mine" / "flowers.npz", **arrays)
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "config/README.md").read_text(encoding="utf-8")
    blocks = [block.split("```")[0] for block in text.split("```yaml\n")[1:]]
    assert len(blocks) == 10
    for block in blocks:
        example = yaml.safe_load(block)
        if "experiments" in example:  # a file of the user's, over the default's
            mine = tmp_path / "my.yaml"
            mine.write_text(block, encoding="utf-8")
            assert load_files(str(ROOT / file), mine).preset == "mine"
            continue
        dataset = example.pop("dataset", values["dataset"])
        experiments = {"reactivation": {**_experiment(values), **example}}
        load_config({**values, "dataset": dataset, "experiments": experiments})


def _experiment(values: dict[str, Any]) -> dict[str, Any]:
    experiment: dict[str, Any] = values["experiments"]["reactivation"]
    return experiment


def test_the_configuration_is_light_to_import() -> None:
    heavy = "torch", "matplotlib", "pandas", "xarray", "zarr", "scipy"
    code = f"import sys, ntkscope.config; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
