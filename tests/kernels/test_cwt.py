"""The wavelet transform against PyWavelets, both backends, and its normalisation against the integral."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import pywt

from usp_sklearn.kernels.cwt import cwt, cwt_pywt, dyadic_scales, transform


@pytest.mark.parametrize("n", [5, 32, 100, 1500])
def test_cwt_equals_pywavelets(n):
    x = np.random.default_rng(n).normal(size=n).cumsum()
    for scales in (np.array([1.0, 1.3, 2.0, 3.7]), dyadic_scales(n)):
        expected, _ = pywt.cwt(x, scales, "gaus1")
        np.testing.assert_allclose(jax.jit(lambda v, s=scales: cwt(v, s))(x), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("n", [40, 40_000])
def test_callback_backend_keeps_float64_and_vmaps(n):
    # Long signals are dispatched to a thread that does not know of the scoped x64.
    x = np.random.default_rng(0).normal(size=(2, 3, n))
    out = jax.jit(jax.vmap(jax.vmap(lambda v: 2 * cwt_pywt(v, [2.0, 5.0]))))(x)
    assert out.dtype == np.float64 and out.shape == (2, 3, 2, n)
    np.testing.assert_array_equal(out[1, 2], 2 * pywt.cwt(x[1, 2], [2.0, 5.0], "gaus1")[0])
    single = cwt_pywt(jnp.asarray(x[0, 0], jnp.float32), [2.0])
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, pywt.cwt(x[0, 0], [2.0], "gaus1")[0], atol=1e-5)


@pytest.mark.parametrize("n", [5, 300, 1500])
def test_two_phases_are_the_transform_of_each_value_twice(n):
    x = np.random.default_rng(n).normal(size=n).cumsum()
    scales = np.array([1.19, 2.0, 5.3, 17.0])
    expected, _ = pywt.cwt(np.repeat(x, 2), scales, "gaus1", precision=16)
    found = jax.jit(lambda v: transform(jnp.diff(v, prepend=0, append=0), scales, 16, 2))(x)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def test_forty_scales_of_both_backends_agree():
    x = np.random.default_rng(1).normal(size=1000).cumsum()
    scales = dyadic_scales(1000)
    assert scales.size == 40
    np.testing.assert_allclose(cwt(x, scales), cwt_pywt(x, scales), rtol=0, atol=1e-6)


def test_normalisation_is_one_over_the_root_of_the_scale():
    # A one-sided power law at its own singularity: |W| = a^(h + 1/2) ∫ |ψ(x)| x^h dx over x > 0.
    t = np.arange(2001.0) - 1000
    scales = np.array([16.0, 32.0, 64.0])
    transformed = jax.jit(lambda v: cwt(v, scales, 16))
    x = np.linspace(0, 5, 50_001)[1:]
    psi = 2 * (2 / np.pi) ** 0.25 * x * np.exp(-(x**2))
    for h in (0.25, 0.5, 1.0):
        found = np.abs(np.asarray(transformed(np.maximum(t, 0.0) ** h)))[:, 1000]
        np.testing.assert_allclose(found, scales ** (h + 0.5) * (psi * x**h).sum() * x[0], rtol=0.05)
