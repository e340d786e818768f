"""Random networks of building blocks, and their inputs: Hypothesis draws and shrinks them."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.oracles.building_blocks import (
    BLOCKS,
    CHANNELS,
    LEADS_TO,
    MIXING,
    READERS,
    SIDE,
    TOKENS,
    WIDTH,
    WORDS,
    WRAPS,
)

_SIZES = {
    "vector": (WIDTH,),
    "sequence": (TOKENS, WIDTH),
    "image": (CHANNELS, SIDE, SIDE),
}
FORMS = (*_SIZES, *(f"ids: {reader}" for reader in READERS), "two", "mapping")
REPEATS = ("none", "module", "weights")


@dataclass(frozen=True)
class Step:
    """A block, how it is called, and whether it or its weights are those of an earlier one."""

    block: str
    wrap: str = "plain"
    repeats: str = "none"
    frozen: bool = False


@dataclass(frozen=True)
class Composition:
    """A network and its inputs.

    Attributes:
        form: of the inputs.
        steps: one after another.
        outputs: K.
        samples: of x1 and x2; no x2 where that is None.
        odd: what some samples are: blank, equal, huge.
        mixing: a step after which no sample is by itself, or "".
        tied_head: the readout is an earlier layer's weight, where one fits.
        training: not in eval mode.
        dtype: of the network.
        seed: of weights and inputs.
    """

    form: str
    steps: tuple[Step, ...]
    outputs: int
    samples: tuple[int, int | None]
    odd: str
    mixing: str
    tied_head: bool
    training: bool
    dtype: str
    seed: int


class Composed(nn.Module):
    """The network of a composition."""

    def __init__(self, of: Composition) -> None:
        super().__init__()
        self.wraps: list[str] = []
        self.mixing = of.mixing
        form = of.form.split(":")[0]
        if form in ("ids", "mapping"):
            self.reads = READERS[of.form.partition(": ")[2] or "embedding"]()
        self.chain = nn.ModuleList()
        form = {"ids": "sequence", "mapping": "sequence", "two": "vector"}.get(form, form)
        for step in of.steps:
            self.chain.append(self._made(form, step))
            new = LEADS_TO.get((form, step.block), form)
            self.wraps.append(step.wrap if new == form else "plain")
            form = new
        self.head = nn.Linear(CHANNELS if form == "image" else WIDTH, of.outputs)
        if of.tied_head:
            _share(self.head, self)

    def _made(self, form: str, step: Step) -> nn.Module:
        before = [m for m in self.chain if getattr(m, "is_of", None) == (form, step.block)]
        if step.repeats == "module" and before:
            return before[-1]
        block = BLOCKS[form][step.block]()
        block.is_of = (form, step.block)  # type: ignore[assignment]
        if step.repeats == "weights":
            for module in block.modules():
                _share(module, self)
        if step.frozen:
            block.requires_grad_(False)
        return block

    def forward(self, x: Tensor, y: Tensor | None = None, scale: Tensor | None = None) -> Any:
        if scale is not None:
            h = self.reads(x) * scale[:, None, None]
        elif y is not None:
            h = x + torch.tanh(y)
        else:
            h = self.reads(x) if hasattr(self, "reads") else x
        for block, wrap in zip(self.chain, self.wraps, strict=True):
            h = WRAPS[wrap](block, h)
        if self.mixing:
            h = MIXING[self.mixing](self, h)
        if h.ndim > 2:
            h = h.mean(1) if h.ndim == 3 else h.mean((2, 3))
        logits = self.head(h)
        return {"logits": logits, "features": h} if scale is not None else logits


def _share(module: nn.Module, earlier: nn.Module) -> None:
    """Take earlier parameters for those of the same shape."""
    for name, p in list(module._parameters.items()):
        fits = [q for q in earlier.parameters() if p is not None and q.shape == p.shape]
        if fits:
            module._parameters[name] = fits[-1]


def build(of: Composition) -> tuple[nn.Module, Any, Any]:
    """The network, x1 and x2."""
    with torch.random.fork_rng():
        torch.manual_seed(of.seed)
        model = Composed(of)
        x1 = _inputs(of, of.samples[0])
        x2 = None if of.samples[1] is None else _inputs(of, of.samples[1])
    model.train(of.training)
    return (in_float64(model) if of.dtype == "float64" else model), x1, x2


def in_float64(model: nn.Module) -> nn.Module:
    """In double precision, complex parameters too; what is shared stays so."""
    model.double()
    wide = {
        p: nn.Parameter(p.detach().cdouble(), p.requires_grad)
        for p in model.parameters()
        if p.is_complex()
    }
    for module in model.modules():
        for name, p in module._parameters.items():
            module._parameters[name] = wide.get(p, p) if p is not None else None
    return model


def _inputs(of: Composition, count: int) -> Any:
    dtype = getattr(torch, of.dtype)
    if of.form.startswith("ids"):
        return _odd(of, torch.randint(WORDS, (count, TOKENS)))
    if of.form == "mapping":
        ids, scale = torch.randint(WORDS, (count, TOKENS)), torch.rand(count, dtype=dtype) + 0.5
        return {"x": _odd(of, ids), "scale": scale}
    if of.form == "two":
        return _odd(of, torch.randn(count, WIDTH, dtype=dtype)), torch.randn(1, WIDTH).to(
            dtype
        ).repeat(count, 1)
    return _odd(of, torch.randn(count, *_SIZES[of.form], dtype=dtype))


def _odd(of: Composition, x: Tensor) -> Tensor:
    if of.odd == "blank":
        x[:2] = 0
    elif of.odd == "equal":
        x[1:] = x[:1].clone() if of.seed % 2 else x[1:]
        x[: len(x) // 2] = x[:1].clone()
    elif of.odd == "huge" and x.is_floating_point():
        x[:1] *= 1e4
    return x


def full_kernel(model: nn.Module, x1: Any, x2: Any, names: list[str]) -> Tensor:
    """[P, N, K, M, K] for each of some parameters, by brute force in the model's dtype."""
    left = _jacobians(model, x1, names)
    right = left if x2 is None else _jacobians(model, x2, names)
    pairs = zip(left, right, strict=True)
    return torch.stack([torch.einsum("nkp,mlp->nkml", a, b) for a, b in pairs])


def _jacobians(model: nn.Module, x: Any, names: list[str]) -> list[Tensor]:
    """Of every parameter [N, K, p], in float64; without a fused attention that lacks gradients."""
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        return _by_sample(model, x, names)
    finally:
        torch.backends.mha.set_fastpath_enabled(True)


def _by_sample(model: nn.Module, x: Any, names: list[str]) -> list[Tensor]:
    parameters = dict(model.named_parameters())
    learn = [parameters[name] for name in names]
    rows = []
    for i in range(len(next(iter(x.values())) if isinstance(x, dict) else _first(x))):
        outputs = _outputs(copy.deepcopy(model), model, x, i)
        rows.append([_gradients(output, learn) for output in outputs])
    return [
        torch.stack([torch.stack([of_output[place] for of_output in row]) for row in rows])
        for place in range(len(names))
    ]


def _first(x: Any) -> Tensor:
    return x[0] if isinstance(x, tuple) else x


def _outputs(spare: nn.Module, model: nn.Module, x: Any, i: int) -> Tensor:
    """[K] of one sample; the model keeps its buffers and attributes."""
    for module, kept in zip(model.modules(), spare.modules(), strict=True):
        kept._parameters = module._parameters
    spare.wraps = [w.replace("re-entrant ", "") for w in spare.wraps]
    if isinstance(x, dict):
        found: Tensor = spare(**{k: t[i : i + 1].clone() for k, t in x.items()})["logits"][0]
    elif isinstance(x, tuple):
        found = spare(*(t[i : i + 1].clone() for t in x))[0]
    else:
        found = spare(x[i : i + 1].clone())[0]
    return found


def _gradients(output: Tensor, learn: list[nn.Parameter]) -> list[Tensor]:
    found = torch.autograd.grad(
        output, learn, retain_graph=True, allow_unused=True, materialize_grads=True
    )
    return [_real(g).flatten().double() for g in found]


def _real(g: Tensor) -> Tensor:
    g = g.to_dense() if g.is_sparse else g
    return torch.view_as_real(g) if g.is_complex() else g


_SAMPLES = st.sampled_from([*range(1, 7)] * 20 + [210])
_WRAPS = st.sampled_from(["plain"] * 6 + list(WRAPS))
_REPEATS = st.sampled_from(["none"] * 4 + list(REPEATS))


@st.composite
def compositions(draw: st.DrawFn) -> Composition:
    """Any composition; shrinks to few plain steps and samples."""
    form = draw(st.sampled_from(["vector", "sequence", "image", *FORMS]))
    here = {"two": "vector", "mapping": "sequence"}.get(form, "sequence" if ":" in form else form)
    steps = []
    for _ in range(draw(st.integers(0, 4))):
        block = draw(st.sampled_from(list(BLOCKS[here])))
        frozen = draw(st.sampled_from([False] * 7 + [True]))
        steps.append(Step(block, draw(_WRAPS), draw(_REPEATS), frozen))
        here = LEADS_TO.get((here, block), here)
    return Composition(
        form,
        tuple(steps),
        draw(st.integers(1, 3)),
        (draw(_SAMPLES), draw(st.one_of(st.none(), st.integers(1, 4)))),
        draw(st.sampled_from(["no", "no", "no", "blank", "equal", "huge"])),
        draw(st.sampled_from([""] * 48 + list(MIXING))),
        draw(st.sampled_from([False, False, True])),
        draw(st.sampled_from([False] * 7 + [True])),
        draw(st.sampled_from(["float64", "float32"])),
        draw(st.integers(0, 10**6)),
    )
