"""The figures of the reactivation paper, one module an analysis.

Imports `figures`, `fits` and `statistics`.
"""
