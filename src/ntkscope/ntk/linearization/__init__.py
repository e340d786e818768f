"""The network linearised at its parameters, and how it learns by gradient flow, in closed form.

Imports `ntk.empirical` and `ntk.regression`.
"""

from ntkscope.ntk.linearization.gradient_flow import FlowError, GradientFlow, gradient_flow
from ntkscope.ntk.linearization.linearized import Linearized, linearize

__all__ = ["FlowError", "GradientFlow", "Linearized", "gradient_flow", "linearize"]
