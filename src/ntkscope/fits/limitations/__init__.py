"""What belongs to arXiv 2206.10012: learning curves of networks and kernels, and their exponents.

`collect_curves` lays the errors of networks and kernel regressions side by side; `fit_curves` makes
the tables that figures and claims are drawn from. Imports `fits` and the ground.
"""
