"""The colour prior: probabilities, conversion to text, and guidance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pic_jax.model import colour_prior, logistic_mixture
from pic_jax.sampling import conditions


def chroma_of(values):
  """Converts integers 0..255 to chroma in network units."""
  return jnp.asarray((np.asarray(values, np.float32) - 127.5) / 127.5)


def test_probabilities_of_all_pairs_sum_to_1():
  rng = np.random.default_rng(0)
  batches = [chroma_of(rng.integers(100, 160, (50, 2))) for _ in range(3)]
  prior = colour_prior.make(batches)
  pairs = np.stack(np.mgrid[:256, :256], -1)
  probs = np.exp(colour_prior.log_prob(jnp.asarray(prior), chroma_of(pairs)))
  assert probs.sum() == pytest.approx(1.0, abs=1e-3)
  inside, outside = probs[120, 130], probs[20, 230]
  assert inside > 100 * outside > 0


def test_a_prior_survives_conversion_to_text():
  prior = colour_prior.make([chroma_of([[1, 2], [250, 3]])])
  decoded = colour_prior.from_text(colour_prior.to_text(prior))
  np.testing.assert_allclose(decoded, prior, rtol=1e-3)
  for wrong in ('', 'AAAA', '?'):
    with pytest.raises(ValueError):
      colour_prior.from_text(wrong)


@pytest.mark.slow
def test_guidance_subtracts_the_weighted_log_prob_of_the_prior():
  rng = np.random.default_rng(1)
  theta = jnp.asarray(rng.normal(0, 1, (6, 16)), jnp.float32)
  luminance = jnp.asarray(rng.normal(0, 1, (6, 1)), jnp.float32)
  chroma = chroma_of(rng.integers(0, 256, (6, 2)))
  prior = jnp.asarray(colour_prior.make([chroma[:3]]))
  log_prob = logistic_mixture.log_prob(theta, luminance, chroma)
  without_prior = conditions.Guidance(0.3, 4)
  np.testing.assert_allclose(
    without_prior.score(theta, luminance, chroma), 0.3 * log_prob, rtol=1e-6
  )
  with_prior = conditions.Guidance(0.3, 4, prior, 0.5)
  expected = 0.3 * (log_prob - 0.5 * colour_prior.log_prob(prior, chroma))
  actual = jax.jit(with_prior.score)(theta, luminance, chroma)
  np.testing.assert_allclose(actual, expected, rtol=1e-5)
