"""Gram matrices of per-sample gradients: the strategies, and which of them is cheapest.

Imports `ntk.empirical.output_gradients` and `ntk.empirical.costs`.
"""
