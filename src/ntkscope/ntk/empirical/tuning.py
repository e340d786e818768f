"""Sizes at which one way becomes faster than another, in one place.

Measured on one processor with AVX-512 and 32 MB of cache; right within a factor of two on others.
None of them changes a kernel by more than rounding.
"""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Tuning:
    """What decides about speed and memory, never about results. Printed, a table.

    Attributes:
        free_share: of the free memory, the budget of a kernel where none is given.
        operator_free_share: the same of an operator.
        unasked_bytes: what a kernel may take without a look at what is free.
        pass_bytes: of one forward and backward pass on a CPU: enough for good products.
        pass_bytes_gpu: what keeps a GPU busy.
        pass_samples: fewest of one pass, for which large weights are laid out anew.
        retained_bytes: freed memory that stays with the process.
        huge_page_bytes: tensors from which on memory is asked for in large pages.
        outputs_at_once: most outputs that are differentiated together; None: as many as fit.
        unspared_bytes: gradients of this size are kept without a thought of sparing memory.
        sparing_slowdown: how many times as long a computation that spares memory may take.
        many_outputs: above which a readout's gradients are looked through, to save products.
        batched_elements: of a layer's outputs, up to which all output vectors go back at once.
        row_patch_elements: of a row of a convolution's patch, above which its weight's gradients
            are made a row of the kernel at a time.
        row_patch_bytes: of such rows held at once.
        sample_multiply_adds: above which one sample's weight gradients are a product of their own.
        readout_samples: fewest for which gradients just below a readout are looked at.
        readout_rows: samples looked at together.
        contraction_elements: of the largest temporary of a structured contraction.
        tile_elements: of a kernel's tile: what stays in a cache beside what it is made of.
        tile_rows: most samples of a strip.
        square_multiply_adds: of a square tile that is a good product.
        launch_multiply_adds: in the time that one more strip takes of itself.
        swap_ratio: times as many columns as rows, from which on x1 and x2 change places.
        packing_rows: of a product, in the time that ordering its columns in memory takes.
        mirror_rows: copied at once below a kernel's diagonal.
        diagonal_samples: whose kernel is computed at once for its diagonal.
        library_bytes: that libraries keep beside a tiled kernel: freed memory, compiled products.
        infinite_tile_bytes: of the covariance of an infinite kernel's tile.
        infinite_tile_bytes_gpu: the same on a GPU.
        infinite_columns: that such a tile has before it has a second row.
        series_variances: whose Hermite coefficients are found together.
        quadrature_values: of an activation with kinks, computed together.
        numpy_threads: most of torch's with which NumPy's arctangent, on one, is faster.
    """

    free_share: float = 0.5
    operator_free_share: float = 0.25
    unasked_bytes: int = 2**26
    pass_bytes: int = 3 * 2**25
    pass_bytes_gpu: int = 2**31
    pass_samples: int = 8
    retained_bytes: int = 2**28
    huge_page_bytes: int = 2**25
    outputs_at_once: int | None = None
    unspared_bytes: int = 2**28
    sparing_slowdown: float = 1.05
    many_outputs: int = 64
    batched_elements: int = 2**15
    row_patch_elements: int = 128
    row_patch_bytes: int = 2**20
    sample_multiply_adds: int = 2**22
    readout_samples: int = 512
    readout_rows: int = 64
    contraction_elements: int = 2**19
    tile_elements: int = 2**19
    tile_rows: int = 512
    square_multiply_adds: int = 2**30
    launch_multiply_adds: int = 2**24
    swap_ratio: int = 8
    packing_rows: int = 25
    mirror_rows: int = 128
    diagonal_samples: int = 16
    library_bytes: int = 96 * 2**20
    infinite_tile_bytes: int = 2**21
    infinite_tile_bytes_gpu: int = 2**28
    infinite_columns: int = 256
    series_variances: int = 2**12
    quadrature_values: int = 2**17
    numpy_threads: int = 2

    def __str__(self) -> str:
        return "\n".join(f"{f.name:<23}  {getattr(self, f.name)}" for f in fields(self))


TUNING = Tuning()
"""The defaults, as measured."""
