"""Infinite-width kernels by their recursion: a number at a time, no layout, no symmetry, no tiles.

One covariance for each pair of sites, a site being a pixel of a sample: K[n, y, x, m, v, w].
"""

import itertools
import math

import numpy as np

from ntkscope.models import Activation, AvgPool, Conv, Dense, Flatten, GlobalAvgPool


def infinite_kernels(layers, x, normal_biases=False):
    """NNGP and NTK [N, N] of inputs x [N, channel, y, x]."""
    x = np.asarray(x, dtype=float)
    K = np.einsum("ncyx,mcvw->nyxmvw", x, x) / x.shape[1]
    T = np.zeros_like(K)
    for layer in layers:
        if isinstance(layer, Activation):
            K, T = activate(K, T, layer.kind)
        elif isinstance(layer, Dense | Conv):
            K, T = affine(K, T, layer, normal_biases)
        elif isinstance(layer, AvgPool):
            K, T = pool(K, layer.size, layer.size), pool(T, layer.size, layer.size)
        elif isinstance(layer, GlobalAvgPool):
            K, T = pool(K, *K.shape[1:3]), pool(T, *K.shape[1:3])
        elif isinstance(layer, Flatten):
            K, T = same_pixels(K), same_pixels(T)
    return K[:, 0, 0, :, 0, 0], T[:, 0, 0, :, 0, 0]


def affine(K, T, layer, normal_biases):
    """Variances and squared forward scales of weights and biases, as they are initialised."""
    fan_in, bias = layer.fan_in, float(layer.bias)
    if layer.ntk:
        weight, weight_scale = 1.0, layer.weight_scale**2
        bias_variance, bias_scale = float(normal_biases), layer.bias_scale**2
    else:
        gain, starting_bias = (3**-0.5, 1.0) if layer.gain is None else (layer.gain, 0.0)
        weight, weight_scale = gain**2 / fan_in, 1.0
        bias_variance, bias_scale = starting_bias / (3 * fan_in), 1.0
    inputs = layer.inputs
    sums = (lambda M: window_sum(M, layer.size)) if isinstance(layer, Conv) else (lambda M: M)
    S = inputs * sums(K)  # Σ over the inputs that one output sees
    backwards = weight * weight_scale * inputs * sums(T)
    new = weight * weight_scale * S + bias * bias_variance * bias_scale
    return new, weight_scale * S + bias * bias_scale + backwards


def window_sum(M, size):
    """Σ_δ M[y + δ, y' + δ], zero padding."""
    out = np.zeros_like(M)
    height, width = M.shape[1:3]
    around = range(-(size // 2), size // 2 + 1)
    pixels = itertools.product(range(height), range(width), range(height), range(width))
    for y, x, v, w in pixels:
        for dy, dx in itertools.product(around, around):
            inside = 0 <= y + dy < height and 0 <= v + dy < height
            if inside and 0 <= x + dx < width and 0 <= w + dx < width:
                out[:, y, x, :, v, w] += M[:, y + dy, x + dx, :, v + dy, w + dx]
    return out


def pool(M, down, across):
    """Mean over the pixels of both windows."""
    height, width = M.shape[1] // down, M.shape[2] // across
    out = np.empty((len(M), height, width, len(M), height, width))
    for y, x, v, w in itertools.product(range(height), range(width), range(height), range(width)):
        first = np.s_[:, y * down : (y + 1) * down, x * across : (x + 1) * across]
        second = np.s_[:, v * down : (v + 1) * down, w * across : (w + 1) * across]
        out[:, y, x, :, v, w] = M[(*first, *second)].mean((1, 2, 4, 5))
    return out


def same_pixels(M):
    """Mean over equal pixels, as one site."""
    return np.einsum("nyxmyx->nm", M)[:, None, None, :, None, None] / math.prod(M.shape[1:3])


def activate(K, T, kind):
    """E[φ(u)φ(v)] and Θ · E[φ'(u)φ'(v)], site by site."""
    sites = K.shape[:3]
    q = [K[(*site, *site)] for site in np.ndindex(*sites)]
    flat_K, flat_T = K.reshape(len(q), len(q)).copy(), T.reshape(len(q), len(q)).copy()
    for i, j in itertools.product(range(len(q)), range(len(q))):
        expectation = {"relu": relu, "erf": erf}[kind]
        flat_K[i, j], slope = expectation(flat_K[i, j], q[i], q[j])
        flat_T[i, j] *= slope
    return flat_K.reshape(K.shape), flat_T.reshape(T.shape)


def relu(k, q1, q2):
    """Cho & Saul 2009. The slope of a unit that is always 0 is 0."""
    if q1 == 0 or q2 == 0:
        return 0.0, 0.0
    cosine = k / math.sqrt(q1 * q2)
    angle = 0.0 if 1 - cosine < 1e-14 else math.acos(max(cosine, -1.0))
    value = math.sqrt(q1 * q2) * (math.sin(angle) + (math.pi - angle) * math.cos(angle))
    return value / (2 * math.pi), (math.pi - angle) / (2 * math.pi)


def erf(k, q1, q2):
    """Williams 1997."""
    norm = (1 + 2 * q1) * (1 + 2 * q2)
    slope = 4 / math.pi / math.sqrt(norm - 4 * k * k)
    return 2 / math.pi * math.asin(2 * k / math.sqrt(norm)), slope
