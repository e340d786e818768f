"""`make bench-gpu`: what a CUDA GPU does; `--device cpu --quick` tries the code without one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd
import torch

from benchmarks.gpu.kernels import kernel_rows
from benchmarks.gpu.training import training_rows
from benchmarks.process import ROOT

NO_GPU = """bench-gpu: torch finds no CUDA GPU on this machine: nothing was measured.
  to do: run it on a machine with an NVIDIA GPU and its driver; to try the code without one:
  python -m benchmarks.gpu --device cpu --quick"""


def main(arguments: list[str] | None = None) -> int:
    """Measure, print and write; 1 where there is no GPU."""
    options = _options(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        print(NO_GPU)
        return 1
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = options.tf32
    device = torch.device(options.device)
    tables = {
        "kernels": pd.DataFrame(kernel_rows(device, options.quick)),
        "training": pd.DataFrame(training_rows(device, options.quick)),
    }
    for name, table in tables.items():
        print(f"\n{name}, {_device(device, options.tf32)}")
        print(table.to_string(index=False, float_format=lambda number: f"{number:.3g}"))
        _write(table, Path(f"{options.output or _default(options)}-{name}.csv"), options)
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: a smoke test")
    parser.add_argument("--tf32", action="store_true", help="TF32 for products and convolutions")
    parser.add_argument("--output", help="start of the files' names; -kernels.csv, … is added")
    return parser.parse_args(arguments)


def _default(options: argparse.Namespace) -> Path:
    """A whole run replaces the reference; others go where nothing is committed."""
    if options.quick or options.device == "cpu":
        return ROOT / "results/benchmarks/gpu"
    return ROOT / f"benchmarks/results/gpu{'-tf32' if options.tf32 else ''}"


def _write(table: pd.DataFrame, path: Path, options: argparse.Namespace) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        file.write(f"# {_device(torch.device(options.device), options.tf32)}\n")
        table.to_csv(file, index=False, float_format="%.4g")
    print(f"written: {path}")


def _device(device: torch.device, tf32: bool) -> str:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    return f"{name}, torch {torch.__version__}, {'TF32' if tf32 else 'float32'}"


if __name__ == "__main__":
    sys.exit(main())
