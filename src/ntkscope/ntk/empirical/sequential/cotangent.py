"""What flows back through a straight network, in factors for as long as that is possible.

Down to the first layer below the readout it is a product c_r ∘ s(x) of something that does not
depend on the sample and something that does not depend on the output. It is multiplied out where it
has to be; and where c is the same at all positions, the sum over outputs of a trace NTK is taken
first: Σ_r ⟨c_r ∘ s, c_r ∘ s'⟩ = ⟨‖c‖ ∘ s, ‖c‖ ∘ s'⟩, a product R times as cheap.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor


@dataclass
class Flow:
    """What flows back to a step's output, [n, R, …], in factors.

    Attributes:
        of: [1, R, …] where it is the same for all samples (`shared`), else [n, R, …].
        shared: no sample has entered it so far.
        slopes: [n, 1, …], still to be multiplied with it.
        even: `of` is the same at all positions of the image.
        window: each number is still to be spread over such a window, as its mean.
    """

    of: Tensor
    shared: bool = True
    slopes: Tensor | None = None
    even: bool = True
    window: tuple[int, int] | None = None

    @property
    def alike(self) -> bool:
        """Whether the whole is the same for all samples."""
        return self.shared and self.slopes is None

    def spread(self) -> Flow:
        """With no window left."""
        if self.window is None:
            return self
        return Flow(_spread(self.of, self.window), self.shared, even=False)

    def times(self, slopes: Tensor, *, inside: bool = False) -> Flow:
        """Multiplied by slopes [n, 1, …]; inside: outputs next to channels, where it is written."""
        if self.window is not None and not self.shared:
            return Flow(_spread(self.of, self.window, slopes, inside=inside), shared=False)
        flow = self.spread()
        if not flow.shared:
            return Flow(flow.of.mul_(slopes), shared=False)
        both = slopes if flow.slopes is None else flow.slopes * slopes
        return Flow(flow.of, True, both, flow.even)

    def scaled(self, factor: Tensor) -> Flow:
        """Multiplied by a factor [C, …] of each channel, in new memory."""
        return replace(self, of=self.of * factor)

    def whole(self) -> Tensor:
        """[n, R, …] in one, or [1, R, …] where no sample has entered."""
        flow = self.spread()
        return flow.of if flow.slopes is None else flow.of * flow.slopes

    def single(self) -> Tensor | None:
        """One cotangent [n, 1, …] with the summed Gram matrix of all, where there is one."""
        if self.slopes is None or not self.even:
            return None
        first = self.of[..., :1, :1] if self.of.ndim > 3 else self.of
        norm: Tensor = first.norm(dim=1, keepdim=True)
        return self.slopes * norm


def _spread(
    g: Tensor, window: tuple[int, int], slopes: Tensor | None = None, *, inside: bool = False
) -> Tensor:
    """Each of [n, R, channel, y, x] over its window, as its mean; times slopes [n, 1, …].

    In memory [n, R, y, x, channel], or [n, y, x, R, channel] (inside).
    """
    high, wide = window
    each = (g / (high * wide)).permute(0, 1, 3, 4, 2)[:, :, :, None, :, None]
    shape = (*each.shape[:3], high, each.shape[4], wide, each.shape[6])
    if slopes is None:
        found = each.expand(shape).contiguous()
    else:
        by_window = slopes.permute(0, 1, 3, 4, 2).unflatten(3, (-1, wide)).unflatten(2, (-1, high))
        if inside:
            found = (each.movedim(1, 5) * by_window.movedim(1, 5)).movedim(5, 1)
        else:
            found = each * by_window
    return found.flatten(4, 5).flatten(2, 3).permute(0, 1, 4, 2, 3)


def channels_last(g: Tensor) -> Tensor:
    """[n, R, channel, y, x] in an order of memory that convolutions and patches like."""
    return g.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
