"""Gram matrices of gradients that are made: best where positions outnumber parameters."""

from __future__ import annotations

from torch import Tensor

from ntkscope.kernels.conventions import Pairs
from ntkscope.kernels.large import new_empty
from ntkscope.kernels.terms import (
    Gradients,
    OuterProducts,
    bias_gradients,
    weight_gradients,
)
from ntkscope.kernels.work import Sizes, Work, of_product
from ntkscope.products import product, products


def materialise(term: OuterProducts, room: Gradients | None = None) -> Gradients:
    """The gradients [n, R, P] that the outer products sum to, written to `room` where given."""
    groups, _, R, O = term.gradients.shape[1:]  # noqa: E741
    if room is None:
        room = room_for(term.gradients, (term.samples, R), groups * O, term.width, term.offset)
    weight_gradients(term, weights_of(room, groups * O, term.width))
    if term.offset:
        biases_of(room, groups * O)[:] = bias_gradients(term)
    return room


def room_for(
    like: Tensor, shape: tuple[int, int], outputs: int, width: int, bias: float
) -> Gradients:
    """Memory for the gradients of a weight [outputs, width], and of the biases if there are any.

    Args:
        like: of its dtype and device.
        shape: n, R.
        outputs, width: of the weight.
        bias: 0 for none.
    """
    return Gradients(new_empty(like, *shape, outputs * (width + (1 if bias else 0))))


def weights_of(room: Gradients, outputs: int, width: int) -> Tensor:
    """[n, R, outputs, width], a view."""
    found: Tensor = room.of[..., : outputs * width].unflatten(2, (outputs, width))
    return found


def biases_of(room: Gradients, outputs: int) -> Tensor:
    """[n, R, outputs], a view."""
    return room.of[..., -outputs:]


def add_materialised(total: Tensor, left: Gradients, right: Gradients, pairs: Pairs) -> None:
    """Add to `total` ⟨j_k(x_n), j_l(x_m)⟩, shaped as `conventions.Pairs` says."""
    if pairs == "summed":
        total += product(left.of.flatten(1), right.of.flatten(1))
        return
    if pairs == "own":
        total += products(left.of.transpose(0, 1), right.of.transpose(0, 1))
        return
    found = product(left.of.flatten(0, 1), right.of.flatten(0, 1))
    total += found.view(*left.of.shape[:2], *right.of.shape[:2]).permute(1, 0, 3, 2)


def materialised_work(sizes: Sizes) -> Work:
    """The gradients once a sample, and their Gram matrix."""
    rows = sizes.groups * sizes.multiplied * sizes.outputs  # of all gradients of a sample
    made = of_product(sizes.samples * rows * sizes.width, sizes.positions)
    read = sizes.samples * sizes.positions * (rows + sizes.groups * sizes.width)
    depth = rows * sizes.width * (1 if sizes.pairs == "summed" else 1 / sizes.multiplied)
    return made + Work(elements=read) + of_product(sizes.sample_pairs * sizes.results, depth)
