"""The reactivation paper (arXiv 2507.16039): differences of its experiments' parts, its claims.

Imports `fits`, `statistics` and the ground.
"""
