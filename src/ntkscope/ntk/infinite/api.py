"""`infinite_ntk` and `infinite_nngp`: the kernels of the infinitely wide network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypedDict, Unpack

import torch
from torch import Tensor, nn

from ntkscope.errors import ModelError
from ntkscope.models import Architecture, Flatten
from ntkscope.ntk.empirical.arguments import check_count
from ntkscope.ntk.empirical.budget import reuse_freed_memory
from ntkscope.ntk.empirical.gradients.hugepages import new_empty
from ntkscope.ntk.infinite.cross import Engine, cross_kernels
from ntkscope.ntk.infinite.double_precision import Precise
from ntkscope.ntk.infinite.dual_activations import fused_through, through
from ntkscope.ntk.infinite.duplicates import equal_pairs, identities
from ntkscope.ntk.infinite.from_module import Stds, as_layers
from ntkscope.ntk.infinite.graph.chain import near_of_chain
from ntkscope.ntk.infinite.graph.kernels import graph_kernels
from ntkscope.ntk.infinite.graph.program import as_program
from ntkscope.ntk.infinite.input_covariance import cross_products
from ntkscope.ntk.infinite.layouts.band import BandLayout, reach
from ntkscope.ntk.infinite.layouts.full import FullLayout
from ntkscope.ntk.infinite.layouts.layout import Layout
from ntkscope.ntk.infinite.layouts.vector import VectorLayout
from ntkscope.ntk.infinite.propagate import Options
from ntkscope.ntk.infinite.samples import Samples, any_zeros, samples
from ntkscope.ntk.infinite.tiles import pairs_per_tile, tiles
from ntkscope.ntk.infinite.validation import check_inputs, check_variances
from ntkscope.ntk.kinds import mirror


class InfiniteKernels(NamedTuple):
    """NNGP [N, N2]: covariance of an output unit at initialisation. NTK [N, N2]: its NTK."""

    nngp: Tensor
    ntk: Tensor


class Asked(TypedDict, total=False):
    """The options of `infinite_ntk`, with its defaults."""

    W_std: Stds
    b_std: Stds
    normal_biases: bool
    tile: int | None
    compile: bool


def infinite_ntk(
    network: Architecture | nn.Module,
    x1: Tensor,
    x2: Tensor | None = None,
    *,
    W_std: Stds = None,
    b_std: Stds = None,
    normal_biases: bool = False,
    tile: int | None = None,
    compile: bool = False,
) -> Tensor:
    """NTK Θ of the infinitely wide network (Jacot et al. 2018, theorem 1).

    It is the limit of `empirical_ntk(…, kind="trace")` at initialisation as every hidden width of
    `network` grows, and the NTK of each output by itself. NTK parametrisation: the limit exists and
    widths do not matter. Standard parametrisation (PyTorch's default initialisation): Θ grows with
    the widths, so those of `network` enter as factors, as in neural-tangents: the limit is that of
    the ratio of the two kernels. Weights count by their variance, as if Gaussian: uniform weights
    change the limit by a relative O(1/fan-in) in the first layer, whose fan-in stays finite.

    A module's forward is traced by torch.fx: residual connections, functions of one
    preactivation (`x * sigmoid(x)`), reshapes, slices and means are seen through. Sums are exact or
    refused: kernels of branches add only where the branches are uncorrelated. Channels that are
    joined (torch.cat) count by their share of the width, in `network` as it stands. Of a grouped
    convolution there stay as many groups as widths grow; a depthwise one is known where a layer
    that mixes channels follows, for its outputs are no Gaussians. An `nn.Sequential` of
    Linear, Conv2d that keeps the size, ReLU, Tanh, GELU, average pooling and Flatten has a faster
    way of its own, in the inputs' precision; all others are computed in float64.

    Args:
        network: an `nn.Module` of known layers (`graph.unknown.KNOWN`), whose sizes count and whose
            weights do not; or the layers that `build_network` takes. Activations are closed forms
            (ReLU, LeakyReLU, abs, GELU, erf, sin, cos, exp), or exact to 1e-10 of the
            activations' second moments: smooth ones by a series (`hermite`), those with kinks by
            quadrature, which is slow (`piecewise`).
        x1: inputs [N, channel, y, x], [N, tokens, channel] or [N, inputs], float32 or float64;
            x2: [N2, …], or None: x1.
        W_std, b_std: of a module: the NTK parametrisation, weights N(0, 1) scaled by W_std/√fan_in
            and biases by b_std (0 if not given), one value for all layers, the last too, or one for
            each in the order in which they are called. None: PyTorch's parametrisation, as the
            module stands.
        normal_biases: biases of the NTK parametrisation start from N(0, 1), as in
            neural-tangents, and not from zero, as `initial_parameters` has them.
        tile: pairs of samples at once (None: as many as suit the cache). The memory is about
            6 · tile · (pixels)² elements for networks with global pooling.
        compile: fuse each activation's arithmetic by `torch.compile`, which takes some seconds
            and a C++ compiler on CPUs, where it gains little: the arithmetic there stays in cache.
            For plain sequences only; others are computed without.

    Returns:
        [N, N2], dtype and device of x1; exactly symmetric where x2 is None, exact on the diagonal
        and wherever two inputs are equal. Of closed forms in float64, relative errors are below
        1e-12 at variances up to 1e3, and of ReLU, LeakyReLU and abs also of nearly equal vectors,
        whose distances are carried through the layers beside their covariances (measured at depth
        3: 3e-13 at 1e-3 of their length, 2e-15 nearer). The same holds of nearly equal images up to
        the first pooling, where the network is traced. Behind it, or another activation, in plain
        sequences of convolutions, of patches at different places and of parallel vectors, a kink
        costs half of the digits of what is nearly equal: relative errors of the NTK up to 2e-8
        (measured of images: 1e-9, for many pairs of pixels average it), none of the NNGP. So do
        opposite inputs, relative to the diagonal: without biases their NTK through relu is 0.

    Raises:
        ModelError: a module whose limit is not known, or inputs that do not fit; or a kernel that
            overflows, or underflows.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> from ntkscope import infinite_ntk
        >>> class Residual(nn.Module):
        ...     def __init__(self, width):
        ...         super().__init__()
        ...         self.first, self.norm = nn.Linear(3, width), nn.LayerNorm(width)
        ...         self.second, self.readout = nn.Linear(width, width), nn.Linear(width, 1)
        ...     def forward(self, x):
        ...         x = self.first(x)
        ...         x = x + self.second(torch.relu(self.norm(x)))
        ...         return self.readout(x)
        >>> x = torch.randn(5, 3)
        >>> infinite_ntk(Residual(8), x, W_std=2**0.5).shape
        torch.Size([5, 5])
    """
    found = _kernels(
        network,
        x1,
        x2,
        ("ntk",),
        W_std=W_std,
        b_std=b_std,
        normal_biases=normal_biases,
        tile=tile,
        compile=compile,
    )
    return found[0]


def infinite_nngp(
    network: Architecture | nn.Module,
    x1: Tensor,
    x2: Tensor | None = None,
    **options: Unpack[Asked],
) -> Tensor:
    """Covariance of one output at initialisation, infinitely wide (Lee et al. 2018, eq. 5).

    Arguments, result and errors are those of `infinite_ntk`.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> from ntkscope import infinite_nngp
        >>> network = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
        >>> x = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
        >>> infinite_nngp(network, x, W_std=1.0)
        tensor([[0.5000, 0.1592],
                [0.1592, 0.5000]])
    """
    return _kernels(network, x1, x2, ("nngp",), **options)[0]


def infinite_kernels(
    network: Architecture | nn.Module,
    x1: Tensor,
    x2: Tensor | None = None,
    **options: Unpack[Asked],
) -> InfiniteKernels:
    """Both kernels in the time of the NTK. Arguments and errors are those of `infinite_ntk`.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> from ntkscope.ntk import infinite_kernels
        >>> network = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
        >>> infinite_kernels(network, torch.randn(3, 2)).nngp.shape
        torch.Size([3, 3])
    """
    return InfiniteKernels(*_kernels(network, x1, x2, InfiniteKernels._fields, **options))


@torch.no_grad()
def _kernels(
    network: Architecture | nn.Module,
    x1: Tensor,
    x2: Tensor | None,
    wanted: Sequence[str],
    *,
    W_std: Stds = None,
    b_std: Stds = None,
    normal_biases: bool = False,
    tile: int | None = None,
    compile: bool = False,
) -> list[Tensor]:
    """Those of `InfiniteKernels` that are wanted."""
    check_inputs(x1, x2)
    check_count("tile", tile)
    reuse_freed_memory()
    layers = as_layers(network, x1, W_std, b_std)
    if layers is None:
        assert isinstance(network, nn.Module)
        program = as_program(network, x1, (W_std, b_std), normal_biases)
        kernels = graph_kernels(program, x1, x2, wanted, tile)
    else:
        options = Options("ntk" in wanted, normal_biases)
        kernels = _of_layers(layers, x1, x2, options, wanted, tile, compile)
    if not all(map(_is_finite, kernels)) and all(x is None or _is_finite(x) for x in (x1, x2)):
        raise ModelError(
            "the infinite-width kernel of these inputs is not finite: variances are too large",
            where="x1, x2",
            remedy="use smaller inputs, W_std and b_std, or an activation that grows less",
        )
    return kernels


def _is_finite(x: Tensor) -> bool:
    """In one pass, without a mask."""
    return not x.numel() or bool(torch.stack(x.aminmax()).isfinite().all())


def _of_layers(
    layers: Architecture,
    x1: Tensor,
    x2: Tensor | None,
    options: Options,
    wanted: Sequence[str],
    tile: int | None,
    compile: bool,
) -> list[Tensor]:
    """Of layers one after another, tile by tile."""
    layers, layout, entries = _laid_out(layers, x1)
    pairs = tile or pairs_per_tile(entries, x1.dtype, x1.device)
    s1 = samples(layers, layout, x1, options.normal_biases, pairs)
    s2 = s1 if x2 is None else samples(layers, layout, x2, options.normal_biases, pairs)
    apply = fused_through() if compile else through
    check_variances(zip(s1.variances, s2.variances, strict=True))
    engine = Engine(layers, layout, options, any_zeros(s1, s2), apply)
    labels = identities(x1) * 2 if x2 is None else identities(x1, x2)
    out = {name: new_empty(x1, s1.count, s2.count) for name in wanted}
    _fill(out, engine, (s1, s2), labels, pairs, upper=x2 is None)
    return list(out.values())


def _fill(
    out: dict[str, Tensor],
    engine: Engine,
    both: tuple[Samples, Samples],
    labels: list[Tensor],
    pairs: int,
    *,
    upper: bool,
) -> None:
    """Write every tile of the kernels, each to its place."""
    precise = Precise(engine, *both)
    vectors = isinstance(engine.layout, VectorLayout)
    seeks_near = "ntk" in out and vectors and both[0].x.dtype == torch.float64
    for rows, columns in tiles(both[0].count, both[1].count, pairs, upper):
        same = equal_pairs(labels[0][rows], labels[1][columns])
        s1, s2 = both[0][rows], both[1][columns]
        K = cross_products(s1.x, s2.x, engine.layout)
        if precise.needed(K, s1, s2, same):
            s1, s2 = precise.first[rows], precise.second[columns]
            K = cross_products(s1.x, s2.x, engine.layout)
        close: list[Tensor] | None = [] if seeks_near else None
        parts = cross_kernels(engine, K, s1, s2, same, close)
        found = dict(zip(("nngp", "ntk"), parts, strict=True))
        for name, kernel in out.items():
            part = found[name]
            assert part is not None
            kernel[rows, columns] = part
        if close:
            i, j = torch.stack(close).any(0).nonzero(as_tuple=True)
            out["ntk"][rows, columns][i, j] = near_of_chain(engine, s1, s2, (i, j), pairs)
    if upper:
        for kernel in out.values():
            mirror(kernel)


def _laid_out(layers: Architecture, x: Tensor) -> tuple[Architecture, Layout, int]:
    """Layers, the layout that needs the fewest entries for a pair of samples, and their number."""
    if isinstance(layers[0], Flatten):
        return layers[1:], VectorLayout(), 1
    pixels, offset = math.prod(x.shape[2:]), reach(layers)
    if offset is not None and (2 * offset + 1) ** 2 < pixels:
        return layers, BandLayout(offset), (2 * offset + 1) ** 2 * pixels
    return layers, FullLayout(), pixels**2
