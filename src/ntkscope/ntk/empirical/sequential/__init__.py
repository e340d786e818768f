"""Back-propagation through sequential networks by formula, without recording a graph.

Imports `ntk.empirical.gradients` and what that imports.
"""
