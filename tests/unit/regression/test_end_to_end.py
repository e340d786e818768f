"""From digits to regressions with the kernels of networks that learnt them."""

import numpy as np
import pytest
import torch

from ntkscope.config.curve_specs import (
    LearningSpec,
    NetworksSpec,
    RegressionSpec,
    SampleCounts,
    ScalarTaskSpec,
)
from ntkscope.config.sections import Dataset
from ntkscope.config.specs import DatasetSpec, ModelSpec
from ntkscope.data import prepare_data, prepare_task
from ntkscope.regression import regress_kernels
from ntkscope.regression.job import open_job
from ntkscope.stores import read_store
from ntkscope.training.learning_curve import train_networks
from tests.unit.regression.conftest import RIDGES

TASK = ScalarTaskSpec(name="digit_pairs", dataset=DatasetSpec(name="digits"), seeds=(0, 1))
MODEL = ModelSpec(kind="mlp", depth=1, width=16)
NETWORKS = NetworksSpec(
    task=TASK,
    model=MODEL,
    learning=LearningSpec(learning_rate=0.05, steps_at_least=60, epochs=1, evaluations=5),
    sizes=(50, 100),
    validation=50,
    test=100,
    during=(5, 60),
    during_samples=100,
)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """The task's store, and that of its networks."""
    folder = tmp_path_factory.mktemp("learning")
    digits, task, networks = (folder / f"{n}.zarr" for n in ("digits", "task", "networks"))
    prepare_data(Dataset(), TASK.dataset, digits, folder / "data", {})
    counts = SampleCounts(train=100, fresh=100, validation=50, test=100)
    prepare_task(TASK, counts, digits, task, state=folder / "tasks", stage="")
    train_networks(NETWORKS, task, networks, state=folder / "train", stage="")
    return task, networks


def test_initial_kernels_are_of_the_networks_that_were_trained(stores):
    task, networks = stores
    spec = RegressionSpec(
        source="initial", task=TASK, model=MODEL, sizes=(25,), fits=("own",), test=9, ridges=RIDGES
    )
    job = open_job(spec, task, None, torch.device("cpu"))
    initial = read_store(networks, "networks", group="initial")
    for position in (0, 1):
        [network] = job.members(position, job.sources[0])
        for name, value in network.named_parameters():
            assert (initial[name].values[position] == value.detach().numpy()).all()


@pytest.mark.parametrize("source", ["infinite", "initial", "after", "during"])
def test_digit_pairs_are_regressed_with_every_kernel(stores, tmp_path, source):
    limit = {"weight_std": 2**0.5, "bias_std": 0.1, "parametrisation": "ntk"}
    own = {
        "infinite": {"model": MODEL.model_copy(update=limit)},
        "initial": {"model": MODEL, "ensemble": 2, "offset": "subtract"},
        "after": {"trained_on": (50, 100), "fits": ("own", "fresh"), "by_layer": True},
        "during": {"steps": (5, 60), "fits": ("own", "fresh")},
    }[source]
    trained = {"networks": NETWORKS} if source in ("after", "during") else {}
    common = {"task": TASK, "sizes": (25, 50, 100), "test": 100, "ridges": RIDGES, "fits": ("own",)}
    regression = RegressionSpec(source=source, **{**common, **trained, **own})
    output, (task, networks) = tmp_path / "out.zarr", stores
    regress_kernels(
        regression, task, networks if trained else None, output, state=tmp_path / "s", stage=""
    )
    found = read_store(output, "regression")
    defined = ~found["undefined"].values
    own_fits = [fit == "own" for fit in found["fit"].values]
    small = found["trained_on"].values == 50
    expected = ~(small[:, None, None] & np.array(own_fits)[:, None] & (found["n"].values > 50))
    assert (defined == expected).all()
    errors = found["error"].values
    assert (np.isfinite(errors) == defined).all()
    assert 0 < errors[defined].min() <= errors[defined].max() < 1
    assert found.attrs["error_currency"] == "zero_one"
    if source == "after":
        assert ((found["layer_error"] > 0) & (found["layer_error"] < 1)).all()
