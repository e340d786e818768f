"""Output gradients of a sequential network, in factors for as long as that is possible.

Down to the first layer below the readout they are c_r ∘ s(x): a factor that does not depend on the
sample, and one that does not depend on the output. They are multiplied out where they have to be;
where c is the same at all positions, the sum over outputs of a trace NTK is taken first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from ntkscope.ntk.empirical.gradients.factors import collapse_outputs


@dataclass
class FactoredCotangent:
    """∂f_r(x_n)/∂(a layer's output), [n, R, …], in factors.

    Attributes:
        output_factor: c [1, R, …] where no sample has entered it (`shared`), else [n, R, …].
        shared: whether `output_factor` is the same for all samples.
        sample_factor: s [n, 1, …], still to be multiplied with it.
        same_at_all_positions: of the image, `output_factor` is.
        window: each element is still to be spread over such a window, as its mean.
    """

    output_factor: Tensor
    shared: bool = True
    sample_factor: Tensor | None = None
    same_at_all_positions: bool = True
    window: tuple[int, int] | None = None

    @property
    def same_for_all_samples(self) -> bool:
        """Whether the product of the factors is."""
        return self.shared and self.sample_factor is None

    def spread(self) -> FactoredCotangent:
        """With no window left."""
        if self.window is None:
            return self
        spread = _spread(self.output_factor, self.window)
        return FactoredCotangent(spread, self.shared, same_at_all_positions=False)

    def times(self, slopes: Tensor, *, inside: bool = False) -> FactoredCotangent:
        """Multiplied by φ' [n, 1, …]; inside: outputs next to channels, where it is written."""
        if self.window is not None and not self.shared:
            spread = _spread(self.output_factor, self.window, slopes, inside=inside)
            return FactoredCotangent(spread, shared=False)
        whole = self.spread()
        if not whole.shared:
            return FactoredCotangent(whole.output_factor.mul_(slopes), shared=False)
        both = slopes if whole.sample_factor is None else whole.sample_factor * slopes
        return FactoredCotangent(whole.output_factor, True, both, whole.same_at_all_positions)

    def scaled(self, factor: Tensor) -> FactoredCotangent:
        """Multiplied by a factor [C, …] of each channel, in new memory."""
        return replace(self, output_factor=self.output_factor * factor)

    def dense(self) -> Tensor:
        """[n, R, …] multiplied out, or [1, R, …] where no sample has entered."""
        whole = self.spread()
        factor = whole.output_factor
        return factor if whole.sample_factor is None else factor * whole.sample_factor

    def multiplied_out(self) -> FactoredCotangent:
        """The same with its `dense` as the only factor."""
        same = self.same_at_all_positions and self.window is None
        return FactoredCotangent(self.dense(), self.same_for_all_samples, None, same)

    def collapse_outputs(self) -> Tensor | None:
        """One cotangent [n, 1, …] with the Gram matrix of all, summed over outputs, if there is."""
        if self.sample_factor is None or not self.same_at_all_positions:
            return None
        factor = self.output_factor
        return collapse_outputs(
            factor[..., :1, :1] if factor.ndim > 3 else factor, 1, self.sample_factor
        )


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
