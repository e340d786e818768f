"""Gram matrices of per-sample gradients: the strategies, and which of them is cheapest.

Imports `ntk.empirical.gradients`, `ntk.empirical.costs` and `ntk.kinds`.
"""
