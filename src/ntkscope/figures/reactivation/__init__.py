"""The figures of the reactivation paper: an analysis a module, with what it asks of its sweep.

Imports `figures`, `fits` and `statistics`.
"""
