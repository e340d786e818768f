"""The reactivation paper's quantities, analyses and claims (arXiv 2507.16039).

Imports `fits`, `statistics` and the ground.
"""
