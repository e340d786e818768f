"""Figures of arXiv 2206.10012 (Vyas et al. 2022): networks, their kernels, and over what.

Each file is an analysis of learning curves. Errors are drawn with t intervals over seeds; points
outside the fits are open; exponents are those of error ~ n^−α, so that a larger one is better.
Imports `figures`, `fits` and `statistics`.
"""
