"""Each adapter in a training of its framework: watched as by hand, and the training unchanged."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from ntkscope import read_store
from ntkscope.stores.verify import look
from ntkscope.watch import WatchError
from tests.unit.watch.loops import CLASSES, PROBE, network, samples

PARTS = ("ntk/velocity", "ntk/spectral_norm")


def same(one: nn.Module, other: nn.Module) -> bool:
    theirs = other.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in one.state_dict().items())


def lightning_module(optimizer: type[torch.optim.Optimizer], fails_at: int = -1) -> Any:
    """The network as a module of Lightning's, which raises an error at a batch."""
    pl = pytest.importorskip("lightning.pytorch")

    class Module(pl.LightningModule):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = network()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.model(x)

        def training_step(self, batch: Any, index: int) -> torch.Tensor:
            if index == fails_at:
                raise ZeroDivisionError
            return nn.functional.cross_entropy(self(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return optimizer(self.parameters(), lr=0.02)

    return Module()


def lightning_trainer(**options: Any) -> Any:
    """One without bars, summaries and checkpoints."""
    pl = pytest.importorskip("lightning.pytorch")
    return pl.Trainer(
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        **options,
    )


@pytest.mark.parametrize("accumulate", [1, 2])
def test_lightning(accumulate: int, tmp_path: Path) -> None:
    pl = pytest.importorskip("lightning.pytorch")
    from ntkscope.watch.adapters.lightning import NTKWatch

    x, y = samples()

    def fit(callbacks: list[Any], logger: Any) -> Any:
        pl.seed_everything(0, verbose=False)
        module = lightning_module(torch.optim.Adam)
        trainer = lightning_trainer(
            max_epochs=2,
            callbacks=callbacks,
            logger=logger,
            accumulate_grad_batches=accumulate,
            default_root_dir=tmp_path,
        )
        trainer.fit(module, DataLoader(TensorDataset(x, y), batch_size=8, shuffle=True))
        return module

    logger = pl.loggers.CSVLogger(tmp_path, name="logs")
    callback = NTKWatch(x[:PROBE], y[:PROBE], overhead=None, store=tmp_path / "k.zarr")
    watched = fit([callback], logger)
    assert callback.watch is not None
    steps = callback.watch.dataset()["step"].values.tolist()
    assert steps == list(range(12 // accumulate + 1))
    assert callback.watch.dataset()["loss"].values[0, 1:, 0].min() > 0.1
    logger.save()
    header = next(Path(logger.log_dir).glob("*.csv")).read_text().splitlines()[0]
    assert all(name in header for name in PARTS)
    assert same(fit([], False), watched)
    callback.boundary()
    assert callback.watch.dataset().attrs["boundaries"].tolist() == [steps[-1]]


def test_lightning_goes_on_counting(tmp_path: Path) -> None:
    """With a new trainer, and from its checkpoint; what would be lost or wrong is refused."""
    pytest.importorskip("lightning.pytorch")
    from ntkscope.watch.adapters.lightning import NTKWatch

    (x, y), store = samples(), tmp_path / "k.zarr"
    loader = DataLoader(TensorDataset(x, y), batch_size=8)

    def fit(callback: NTKWatch, network: Any, epochs: int, start: str | None = None) -> Any:
        trainer = lightning_trainer(max_epochs=epochs, callbacks=[callback], logger=False)
        trainer.fit(network, loader, ckpt_path=start, **({"weights_only": False} if start else {}))
        return trainer

    def module() -> Any:
        return lightning_module(torch.optim.SGD)

    def made() -> NTKWatch:
        return NTKWatch(x[:PROBE], y[:PROBE], every=1, overhead=None, store=store)

    def steps(callback: NTKWatch) -> list[int]:
        return callback.watch.dataset()["step"].values.tolist()

    callback, first = made(), module()
    fit(callback, first, 1)
    fit(callback, first, 1).save_checkpoint(tmp_path / "second.ckpt")
    assert steps(callback) == list(range(13))
    callback.boundary()
    fit(callback, first, 1)
    assert steps(callback) == list(range(19))
    assert callback.watch.dataset().attrs["boundaries"].tolist() == [12]
    again = made()
    fit(again, module(), 2, str(tmp_path / "second.ckpt"))  # 12 steps before, of which 6 its own
    assert steps(again) == list(range(19))
    with pytest.raises(WatchError, match="at step 18"):
        fit(again, again.watch.model, 2, str(tmp_path / "second.ckpt"))
    with pytest.raises(WatchError, match="another network"):
        fit(again, module(), 1)
    with pytest.raises(WatchError, match="would replace all"):
        fit(made(), module(), 1)
    assert look(store) == (store, "", True)


def test_transformers(tmp_path: Path) -> None:
    """Also with a second trainer, and from that one's checkpoint."""
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    from ntkscope.watch.adapters.transformers import NTKWatch

    settings = transformers.BertConfig(
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=8,
        num_labels=2,
    )
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 20, (32, 6), generator=generator)
    labels = (ids[:, 0] > 9).long()
    rows = [{"input_ids": i, "labels": k} for i, k in zip(ids, labels, strict=True)]
    probe = {"input_ids": ids[:8], "attention_mask": torch.ones(8, 6, dtype=torch.long)}

    def fit(
        callbacks: list[Any], model: Any = None, **resumed: Any
    ) -> tuple[nn.Module, list[dict[str, float]]]:
        transformers.set_seed(0)
        model = model or transformers.BertForSequenceClassification(settings)
        arguments = transformers.TrainingArguments(
            output_dir=str(tmp_path),
            max_steps=6,
            per_device_train_batch_size=4,
            logging_steps=2,
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
            save_steps=3,
            restore_callback_states_from_checkpoint=bool(resumed),
        )
        trainer = transformers.Trainer(
            model=model, args=arguments, train_dataset=rows, callbacks=callbacks
        )
        trainer.train(**resumed)
        return model, trainer.state.log_history

    store = tmp_path / "k.zarr"
    options = {"parameters": "classifier", "overhead": None, "store": store}
    callback = NTKWatch(probe, labels[:8], **options)
    watched, history = fit([callback])
    assert callback.watch is not None
    assert callback.watch.dataset()["step"].values.tolist() == list(range(7))
    assert callback.watch.dataset()["layer"].values.tolist() == ["classifier"]
    assert all(name in history[0] for name in PARTS)
    assert same(fit([])[0], watched)
    fit([callback], watched)
    assert callback.watch.dataset()["step"].values.tolist() == list(range(13))
    again = NTKWatch(probe, labels[:8], **options)
    fit([again], watched, resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    assert again.watch is not None
    assert again.watch.dataset()["step"].values.tolist() == list(range(13))
    assert again.watch.report().steps == 4  # 9 to 12
    with pytest.raises(WatchError, match="would replace all"):
        fit([NTKWatch(probe, labels[:8], **options)])
    assert look(store) == (store, "", True)
    plain = fit([])[0]  # a checkpoint that knows of no callback
    added = NTKWatch(probe, labels[:8], **options | {"store": None})
    fit([added], plain, resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    assert added.watch is not None
    assert added.watch.dataset()["step"].values.tolist() == [3, 4, 5, 6]


def test_avalanche(tmp_path: Path) -> None:
    pytest.importorskip("avalanche")
    from avalanche.benchmarks.scenarios.deprecated.generators import tensors_benchmark
    from avalanche.logging import InteractiveLogger  # noqa: F401 - that its loggers are there
    from avalanche.training.plugins import EvaluationPlugin
    from avalanche.training.supervised import Naive

    from ntkscope.watch.adapters.avalanche import NTKWatch

    x, y = samples()
    parts = [(x[:24], y[:24]), (x[24:], (y[24:] + 1) % CLASSES)]

    def trained(model: nn.Module, plugins: list[Any], experiences: slice = slice(None)) -> Naive:
        benchmark = tensors_benchmark(parts, parts, task_labels=[0, 0])
        strategy = Naive(
            model=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=0.05),
            criterion=nn.CrossEntropyLoss(),
            train_mb_size=8,
            train_epochs=2,
            plugins=plugins,
            evaluator=EvaluationPlugin(),
        )
        for experience in benchmark.train_stream[experiences]:
            strategy.train(experience)
        return strategy

    def fit(plugins: list[Any]) -> nn.Module:
        torch.manual_seed(0)
        model = network()
        trained(model, plugins)
        return model

    plugin = NTKWatch(x[:PROBE], y[:PROBE], overhead=None)
    watched = fit([plugin])
    assert plugin.watch is not None
    data = plugin.watch.dataset()
    assert data["step"].values.tolist() == list(range(13))
    assert data.attrs["boundaries"].tolist() == [6]
    assert data["task"].values.tolist() == [1] * 7 + [2] * 6
    assert same(fit([]), watched)
    store = tmp_path / "k.zarr"
    plugin, model = NTKWatch(x[:PROBE], y[:PROBE], overhead=None, store=store), network()
    strategy = trained(model, [plugin], slice(1))
    kept = copy.deepcopy(strategy)  # what a checkpoint has
    strategy.train(tensors_benchmark(parts, parts, task_labels=[0, 0]).train_stream[1])
    again = next(each for each in kept.plugins if isinstance(each, NTKWatch))
    assert again.watch is None
    kept.train(tensors_benchmark(parts, parts, task_labels=[0, 0]).train_stream[1])
    for each in (plugin, again):
        assert each.watch is not None
        assert each.watch.dataset()["step"].values.tolist() == list(range(13))
        assert each.watch.dataset().attrs["boundaries"].tolist() == [6]
    trained(model, [plugin])  # another strategy
    assert plugin.watch is not None
    assert plugin.watch.dataset()["step"].values.tolist() == list(range(25))
    assert plugin.watch.dataset().attrs["boundaries"].tolist() == [6, 12, 18]
    with pytest.raises(WatchError, match="would replace all"):
        trained(model, [NTKWatch(x[:PROBE], y[:PROBE], overhead=None, store=store)])


def test_lightning_writes_what_it_has_at_an_exception(tmp_path: Path) -> None:
    pytest.importorskip("lightning.pytorch")
    from ntkscope.watch.adapters.lightning import NTKWatch

    (x, y), store = samples(), tmp_path / "k.zarr"
    callback = NTKWatch(x[:PROBE], y[:PROBE], every=1, overhead=None, store=store)
    trainer = lightning_trainer(max_epochs=1, callbacks=[callback], logger=False)
    loader = DataLoader(TensorDataset(x, y), batch_size=8)
    with pytest.raises(ZeroDivisionError):
        trainer.fit(lightning_module(torch.optim.SGD, fails_at=3), loader)
    assert read_store(store, "kernels")["step"].values.tolist() == [0, 1, 2, 3]
    assert not look(store).known  # not sealed
    assert not (tmp_path / ".k.zarr.lock").exists()
