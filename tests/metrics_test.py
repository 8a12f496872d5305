"""Bits per dimension of distributions that can be written down."""

import numpy as np

from pic_jax import metrics


def test_uniform_chroma_costs_eight_bits_per_dim():
  log_prob = np.full((3, 5, 7), -np.log(256.0**2))
  np.testing.assert_allclose(metrics.bits_per_dim(log_prob), [8, 8, 8])
  np.testing.assert_allclose(metrics.bits_per_image(log_prob), 16 * 35)
