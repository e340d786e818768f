"""Per-sample gradients of a module's layers, as factors or as they are.

Imports `runtime` and `models`; knows neither the plan nor how Gram matrices are made.
"""
