"""Who is compared: each peer is a module here with `prepare(case, variant)`, run in a process.

`prepare` returns a function that takes the kernel once, and a function that picks some samples of
what it returned, as NumPy arrays [n, n] or [n, K, n, K] in ntkscope's conventions.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.cases import TODAY, Case

_PLAIN = ("mlp", "cnn", "myrtle5")
_EVERY = (*_PLAIN, *TODAY)


@dataclass(frozen=True)
class Peer:
    """A library and one of its ways.

    Attributes:
        name: as printed.
        module: in `benchmarks.peers`.
        variant: which of its ways.
        groups: of cases that it can take.
        networks: the same.
        own_environment: runs in the environment of `requirements-neural-tangents.txt`.
    """

    name: str
    module: str
    variant: str = ""
    groups: tuple[str, ...] = ("trace", "full")
    networks: tuple[str, ...] = _PLAIN
    own_environment: bool = False

    def takes(self, case: Case) -> bool:
        """Whether the case is one for this peer."""
        return case.group in self.groups and case.network in self.networks


OURS = "ntkscope"
SGEMM = "sgemm"
NEURAL_TANGENTS = "neural-tangents"
JACOBIAN = "torch.func Jacobian"
PRODUCTS = "torch.func products"
ASDL = "ASDL"

PEERS = (
    Peer(SGEMM, "sgemm", groups=("trace", "full", "infinite"), networks=_EVERY),
    Peer(OURS, "ours", groups=("trace", "full", "infinite"), networks=_EVERY),
    Peer(
        NEURAL_TANGENTS,
        "neural_tangents",
        groups=("trace", "full", "infinite"),
        own_environment=True,
    ),
    Peer(JACOBIAN, "torch_func", "jacobian", networks=_EVERY),
    Peer(PRODUCTS, "torch_func", "products"),
    Peer(ASDL, "asdl", groups=("trace",)),
)
