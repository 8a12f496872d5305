"""The prior of colours: a distribution, and guidance that divides by it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pic_jax.model import colour_prior, logistic_mixture
from pic_jax.sampling import conditions


def chroma_of(values):
  return jnp.asarray((np.asarray(values, np.float32) - 127.5) / 127.5)


def test_probabilities_of_all_pairs_sum_to_1():
  rng = np.random.default_rng(0)
  batches = [chroma_of(rng.integers(100, 160, (50, 2))) for _ in range(3)]
  prior = colour_prior.make(batches)
  pairs = np.stack(np.mgrid[:256, :256], -1)
  found = np.exp(colour_prior.log_prob(jnp.asarray(prior), chroma_of(pairs)))
  assert found.sum() == pytest.approx(1.0, abs=1e-3)
  inside, outside = found[120, 130], found[20, 230]
  assert inside > 100 * outside > 0


def test_text_keeps_a_prior():
  prior = colour_prior.make([chroma_of([[1, 2], [250, 3]])])
  again = colour_prior.from_text(colour_prior.to_text(prior))
  np.testing.assert_allclose(again, prior, rtol=1e-3)
  for wrong in ('', 'AAAA', '?'):
    with pytest.raises(ValueError):
      colour_prior.from_text(wrong)


@pytest.mark.slow
def test_guidance_subtracts_the_prior():
  rng = np.random.default_rng(1)
  theta = jnp.asarray(rng.normal(0, 1, (6, 16)), jnp.float32)
  luminance = jnp.asarray(rng.normal(0, 1, (6, 1)), jnp.float32)
  chroma = chroma_of(rng.integers(0, 256, (6, 2)))
  prior = jnp.asarray(colour_prior.make([chroma[:3]]))
  own = logistic_mixture.log_prob(theta, luminance, chroma)
  plain = conditions.Guidance(0.3, 4)
  np.testing.assert_allclose(
    plain.score(theta, luminance, chroma), 0.3 * own, rtol=1e-6
  )
  less = conditions.Guidance(0.3, 4, prior, 0.5)
  expected = 0.3 * (own - 0.5 * colour_prior.log_prob(prior, chroma))
  actual = jax.jit(less.score)(theta, luminance, chroma)
  np.testing.assert_allclose(actual, expected, rtol=1e-5)
