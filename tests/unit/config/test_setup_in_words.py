"""Data, network and training of an experiment, as a caption says them."""

from __future__ import annotations

from typing import Any

from ntkscope.config import datasets_of, expand
from ntkscope.config.sections import Config
from ntkscope.config.setup_in_words import setup_in_words


def said(**experiment: Any) -> str:
    mine = {"analysis": "table", "regimes": ["feature"]} | experiment
    regimes = {"feature": {"learning_rate": [0.1, 0.3]}}
    config = Config.model_validate({"regimes": regimes, "experiments": {"mine": mine}})
    runs = [cell.run for cell in expand(config, "mine")]
    return setup_in_words(runs, datasets_of(config))


def test_a_sweep_is_said_by_its_ends() -> None:
    widths = [8, 16, 32, 64, 128]
    told = said(
        model={"kind": "mlp", "width": widths},
        stream={"kind": "class_split", "steps": 50},
    )
    assert told == (
        "Data: digits; network: MLP of 2 hidden layers, width 8 to 128; SGD, learning rate "
        "0.1, 0.3; cross-entropy loss; batches of 64; 50 steps a task."
    )


def test_what_is_not_usual_is_said() -> None:
    told = said(
        model={"kind": "cnn", "width": 4},
        training={"momentum": 0.9, "loss": "mse", "method": "replay", "schedule": "cosine"},
        stream={"kind": "class_split", "steps": 50},
    )
    assert "CNN of 2 blocks, width 4; SGD" in told
    assert "momentum 0.9, cosine schedule; squared error loss; batches of 64; method replay" in told
