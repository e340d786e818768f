"""What a layer's random parameters do to the kernels: four constants per layer."""

from __future__ import annotations

from dataclasses import dataclass

from ntkscope.models import Conv, Dense


@dataclass(frozen=True)
class AffineLaw:
    """An affine layer between covariances. S is the covariance averaged over its fan-in.

    NNGP: K' = weight · S + bias. NTK: Θ' = weight · mean(Θ) + weight_gradient · S + bias_gradient,
    the last two being ⟨∂z/∂W, ∂z'/∂W⟩ and ⟨∂z/∂b, ∂z'/∂b⟩ of one preactivation z.
    """

    weight: float
    bias: float
    weight_gradient: float
    bias_gradient: float


def affine_law(layer: Dense | Conv, normal_biases: bool) -> AffineLaw:
    """The law of a layer as `initial_parameters` draws it.

    NTK parametrisation (Jacot et al. 2018, section 3): unit normal weights scaled by W_std/√fan_in;
    biases start at zero (Lee et al. 2019 and neural-tangents: unit normal, `normal_biases`) and are
    scaled by b_std. Standard parametrisation: weights and biases U(±1/√fan_in), of variance
    1/(3 fan_in), or with a gain weights of variance gain²/fan_in and biases 0; here the fan-in
    enters the NTK as a factor (Sohl-Dickstein et al. 2020, "On the infinite width limit of neural
    networks with a standard parameterization", section 3).
    """
    if layer.ntk:
        gain = layer.weight_scale**2 * layer.fan_in
        bias = layer.bias_scale**2 if layer.bias else 0.0
        return AffineLaw(gain, bias if normal_biases else 0.0, gain, bias)
    if layer.gain is not None:
        return AffineLaw(layer.gain**2, 0.0, float(layer.fan_in), float(layer.bias))
    bias = 1 / (3 * layer.fan_in) if layer.bias else 0.0
    return AffineLaw(1 / 3, bias, float(layer.fan_in), float(layer.bias))
