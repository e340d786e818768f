"""Infinite width of any `nn.Module` made of known layers: traced, translated, propagated.

`trace` follows the module's forward (torch.fx), `translate` turns every call into a step between
covariances or refuses it, `signal` knows what is independent of what, `steps` has the formulas, and
`kernels` runs them, in float64. Imports `ntk.infinite` and what that imports.
"""
