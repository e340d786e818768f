"""`empirical_ntk`: the exact kernel of any torch module."""

from __future__ import annotations

from torch import Tensor, nn

from ntkscope.kernels.conventions import KINDS
from ntkscope.kernels.engine import layer_ntks
from ntkscope.kernels.refusals import as_found, in_place_refused, refuse
from ntkscope.kernels.strategies import STRATEGIES


def empirical_ntk(
    model: nn.Module,
    x1: Tensor,
    x2: Tensor | None = None,
    *,
    kind: str = "trace",
    by_layer: bool = False,
    memory: int | str | None = None,
    chunk: int | None = None,
    force: str | None = None,
) -> Tensor | dict[str, Tensor]:
    """Exact empirical NTK of a torch module (Jacot et al. 2018, eq. 4).

    Args:
        model: maps [N, …] to [N, K], each sample by itself; left as it was found.
        x1: inputs [N, …]; x2: [N2, …], or None for x1.
        kind: `trace` (mean over outputs, as neural-tangents has it), `full`, or `pseudo`
            (see `conventions.KINDS`).
        by_layer: a kernel for each module that has parameters of its own; a shared parameter
            belongs to the first.
        memory: budget beside the kernel itself, in bytes or as text ("2GB"); the result is the
            same, the time may be longer. None: everything is held.
        chunk: at most so many samples in one pass.
        force: for tests: a strategy for all layers that allow it (`strategies.STRATEGIES`).

    Returns:
        [N, N2], or [N, K, N2, K] (kind full), in the model's dtype; by_layer: a dict of them that
        sum to the whole. Exactly symmetric where x2 is None.

    Raises:
        ModelError: a model whose kernel is not defined (batch statistics, active dropout, outputs
            that are random or mix samples, an in-place operation on what a gradient needs, no
            parameters, an output that is not [N, K]), or too little memory; the message says what
            to do.
    """
    if kind not in KINDS:
        raise ValueError(f"kind = {kind!r}; allowed: {', '.join(KINDS)}")
    if force not in (None, *STRATEGIES):
        raise ValueError(f"force = {force!r}; allowed: {', '.join(STRATEGIES)}")
    refuse(model)
    with as_found(model), in_place_refused(model):
        layers = layer_ntks(
            model, x1, x2, kind, by_layer=by_layer, memory=memory, chunk=chunk, force=force
        )
    if kind == "full":
        samples = (len(x1), len(x1 if x2 is None else x2))
        layers = {
            n: k.view(samples[0], -1, samples[1], k.shape[1] // samples[1])
            for n, k in layers.items()
        }
    return layers if by_layer else layers[""]
