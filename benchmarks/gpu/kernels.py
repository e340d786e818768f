"""Trace NTKs of large networks on a GPU, and torch.func on the samples that its memory allows."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torchvision.models import resnet18

from benchmarks.flops import ntk_flops
from benchmarks.gpu.timing import by_turns, memory_of, peak_flops, timed
from benchmarks.measure import TOLERANCE
from benchmarks.peers.torch_func import by_jacobian
from ntkscope.config.specs import ModelSpec
from ntkscope.models import build_network
from ntkscope.models.zoo import architecture
from ntkscope.ntk import empirical_ntk

SHARE_OF_MEMORY = 0.6  # of what is free, given to the kernel
COMPARED = 16
"""Samples that are compared, in float64: in float32 a ReLU within rounding of its kink is on either
side, and plain autograd, too, differed by 4e-4 (by 1e-7 with SiLU)."""


def myrtle5(width: int, image: int, outputs: int) -> nn.Module:
    """Myrtle-5, default initialisation."""
    spec = ModelSpec(kind="myrtle5", depth=5, width=width)
    return build_network(architecture(spec, (image, image, 3), outputs), seed=0)


def cifar_resnet18(outputs: int) -> nn.Module:
    """ResNet-18 as it is used on CIFAR: 3×3 first convolution, no first pooling; eval mode."""
    network = resnet18(num_classes=outputs)
    network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    network.maxpool = nn.Identity()
    return network.eval()


def kernel_rows(device: torch.device, quick: bool) -> list[dict[str, Any]]:
    """A row for each network: the large kernel, and a small one side by side with torch.func."""
    samples, few, image, outputs, width = (3, 2, 8, 2, 4) if quick else (5000, 64, 32, 10, 512)
    networks: dict[str, Callable[[], nn.Module]] = {
        f"Myrtle-5 width {width}": lambda: myrtle5(width, image, outputs),
        "ResNet-18 for CIFAR": lambda: cifar_resnet18(outputs),
    }
    rows = []
    for name, make in networks.items():
        torch.manual_seed(0)
        network = make()
        double, network = deepcopy(network).double().to(device), network.to(device)
        x = torch.randn(samples, 3, image, image, device=device)
        rows.append({"network": name, "outputs": outputs, **_large(network, x, outputs)})
        rows[-1] |= _beside_torch_func(network, double, x[:few])
    return rows


def _large(network: nn.Module, x: Tensor, outputs: int) -> dict[str, Any]:
    """Seconds, TFLOP/s, share of the product measured just before and after, GB."""
    device = x.device
    memory = int(SHARE_OF_MEMORY * torch.cuda.mem_get_info(device)[0]) if x.is_cuda else None
    seconds, peak = [], peak_flops(device)

    def take() -> None:
        seconds.append(timed(device, lambda: empirical_ntk(network, x, memory=memory)))

    found: dict[str, Any] = {"samples": len(x)}
    try:
        found["gigabytes"] = memory_of(device, take) / 1e9
        take()
    except torch.OutOfMemoryError:
        return {**found, "status": "out of memory"}
    rate = ntk_flops(network, x, outputs, "trace") / min(seconds)
    peak = max(peak, peak_flops(device))
    return {
        **found,
        "status": "ok",
        "seconds": min(seconds),
        "tflop_per_second": rate / 1e12,
        "product_tflop_per_second": peak / 1e12,
        "share": rate / peak,
    }


def _beside_torch_func(network: nn.Module, double: nn.Module, x: Tensor) -> dict[str, Any]:
    """Ratio of torch.func's time to ours on few samples, once both gave the same in float64."""
    found: dict[str, Any] = {"few_samples": len(x)}
    try:
        exact = _difference(_ways(double, x[:COMPARED].double()))
        if not exact <= TOLERANCE:
            return {**found, "few_status": f"another kernel: differs by {exact:.1g} in float64"}
        ways = _ways(network, x)
        difference = _difference(ways)  # in the precision that is timed: stated
        seconds = by_turns(x.device, ways, 3)
    except torch.OutOfMemoryError:
        return {**found, "few_status": "out of memory"}
    ratio = seconds["torch.func"] / seconds["ours"]
    return {**found, "few_status": "ok", "difference": difference, "ratio": ratio}


def _ways(network: nn.Module, x: Tensor) -> dict[str, Callable[[], Tensor]]:
    """The trace NTK [N, N] by ours and by torch.func."""
    parameters = {name: value.detach() for name, value in network.named_parameters()}

    def one(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(network, parameters, (x.unsqueeze(0),)).squeeze(0)

    return {
        "ours": lambda: empirical_ntk(network, x),  # type: ignore[dict-item, return-value]
        "torch.func": lambda: by_jacobian(one, parameters, x, "trace"),
    }


def _difference(ways: dict[str, Callable[[], Tensor]]) -> float:
    """The largest, over the largest entry."""
    ours, theirs = (way() for way in ways.values())
    return float((ours - theirs).abs().max() / theirs.abs().max())
