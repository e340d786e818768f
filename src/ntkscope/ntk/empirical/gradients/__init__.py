"""Per-sample gradients of a module's layers, as factors or as they are.

Imports `runtime`, `models` and of `ntk.empirical` the tuning and what a model takes and
gives; knows neither the plan nor how Gram matrices are made.
"""
