"""PITs sum probabilities, and are uniform for samples of the model itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pic_jax.evaluation import calibration
from pic_jax.model import logistic_mixture

K = 3  # components of the mixture
GRID_VALUES = (np.arange(256) - 127.5).astype(np.float32) / 127.5


def random_theta(seed: int, count: int) -> jax.Array:
  return jax.random.normal(jax.random.key(seed), (count, 8 * K))


@pytest.mark.slow
@pytest.mark.parametrize('seed', range(3))
def test_transform_is_the_sum_of_the_probabilities_below(seed):
  """The sum for a is over the margin of the table, for b over the row of a."""
  rng = np.random.default_rng(seed)
  # The narrow scales make some a so rare that every float32 p_k(a) is 0.
  theta = random_theta(seed, 1).at[:, 4 * K :].add(-1.5)
  luminance = jnp.full((1, 1), 0.3)
  table = logistic_mixture.log_prob(
    theta[None],
    luminance[None],
    np.stack(np.meshgrid(GRID_VALUES, GRID_VALUES, indexing='ij'), -1),
  )
  table = np.asarray(table, np.float64)  # [a, b]
  margin = np.exp(table).sum(1)
  indices = rng.integers(0, 256, (200, 2))  # of a and b
  indices[:4] = [[0, 255], [255, 0], [0, 0], [255, 255]]
  noise = rng.uniform(size=(200, 2)).astype(np.float32)
  actual = calibration.transform(
    jnp.repeat(theta, 200, 0),
    jnp.repeat(luminance, 200, 0),
    GRID_VALUES[indices],
    noise=noise,
  )
  for (a, b), v, u in zip(indices, noise, actual, strict=True):
    row = np.exp(table[a] - table[a].max())
    row /= row.sum()
    expected = (
      margin[:a].sum() + v[0] * margin[a],
      row[:b].sum() + v[1] * row[b],
    )
    np.testing.assert_allclose(u, expected, atol=2e-5)


def distances(seed: int, wrong_fn=lambda theta: theta) -> list[float]:
  """Returns the distances of the PITs of a and b from a uniform distribution.

  Chroma is drawn from a random theta. Its PITs are those of `wrong_fn(theta)`.
  """
  count = 20_000
  theta = random_theta(seed, count)
  pit_key, sample_key, luminance_key = jax.random.split(
    jax.random.key(seed + 1), 3
  )
  luminance = jax.random.uniform(luminance_key, (count, 1), minval=-1.0)
  chroma = logistic_mixture.sample(
    theta, luminance, logistic_mixture.noise(sample_key, (count, K + 2))
  )
  found = calibration.transform(
    wrong_fn(theta),
    luminance,
    chroma,
    noise=jax.random.uniform(pit_key, (count, 2)),
  )
  shares = calibration.histogram(found.T[:, None])
  return [calibration.distance(x) for x in np.asarray(shares)]


@pytest.mark.slow
def test_pits_of_samples_of_the_model_are_uniform():
  assert max(distances(0)) < 0.02


@pytest.mark.slow
def test_pits_of_samples_of_another_model_are_not_uniform():
  def add(start: int, stop: int, value: float):
    return lambda theta: theta.at[:, start:stop].add(value)

  assert distances(0, add(5 * K, 6 * K, 1.0))[0] > 0.04  # a's scale
  a, b = distances(0, add(7 * K, 8 * K, 1.0))  # b's scale
  assert a < 0.02 and b > 0.04
  a, b = distances(0, add(6 * K, 7 * K, 0.3))  # b's mean
  assert a < 0.02 and b > 0.04


def test_histogram_and_distance_of_known_values():
  values = np.array([[[0.0, 0.049, 0.051], [0.999, 1.0, 0.5]]])
  shares = np.asarray(calibration.histogram(values)[0])
  expected = np.zeros(20)
  expected[[0, 1, 10, 19]] = [2 / 6, 1 / 6, 1 / 6, 2 / 6]
  np.testing.assert_allclose(shares, expected, rtol=1e-6)
  # The first two bins hold 1/2 of the values; uniform would be 2/20.
  np.testing.assert_allclose(
    calibration.distance(expected), 0.5 - 0.1, rtol=1e-6
  )
  assert calibration.distance(np.full(20, 0.05)) < 1e-12
  np.testing.assert_allclose(calibration.distance(np.eye(20)[0]), 0.95)
