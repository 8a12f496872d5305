"""The mixture: probabilities, samples, and agreement with other code."""

import functools
import pathlib

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pic_jax.model import logistic_mixture, logistic_window

GOLDEN = pathlib.Path(__file__).parent / 'golden' / 'loss_paper_rule.npz'
K = 10  # number of components
# All values of a channel, in network units.
GRID_VALUES = (np.arange(256) - 127.5).astype(np.float32) / 127.5


def random_theta(seed: int, scale: float, count: int) -> jax.Array:
  return scale * jax.random.normal(jax.random.key(seed), (count, 8 * K))


def all_chroma() -> np.ndarray:
  """Returns all pairs of grid values, [256, 256, 2]."""
  return np.stack(np.meshgrid(GRID_VALUES, GRID_VALUES, indexing='ij'), -1)


@pytest.mark.parametrize('scale', [0.1, 1.0, 5.0])
def test_probabilities_of_all_colours_sum_to_one(scale):
  for index, theta in enumerate(random_theta(0, scale, 5)):
    luminance = jnp.full((1, 1, 1), [-1.0, -0.3, 0.0, 0.6, 1.0][index])
    log_prob = logistic_mixture.log_prob(
      theta[None, None], luminance, all_chroma()
    )
    total = np.exp(np.asarray(log_prob, np.float64)).sum()
    np.testing.assert_allclose(total, 1.0, atol=1e-5)


@functools.partial(jax.jit, static_argnums=0)
def value_and_gradient(log_prob_fn, theta, luminance, chroma):
  values, pullback = jax.vjp(lambda x: log_prob_fn(x, luminance, chroma), theta)
  return values, pullback(jnp.ones_like(values))[0]


@pytest.mark.parametrize('scale', [0.1, 1.0, 5.0, 30.0])
def test_log_prob_and_gradient_are_finite(scale):
  theta = random_theta(1, scale, 500)
  key = jax.random.key(2)
  chroma = GRID_VALUES[jax.random.randint(key, (500, 2), 0, 256)]
  chroma[:8] = [[i, j] for i in (-1, 1) for j in (-1, 1)] * 2
  luminance = jax.random.uniform(key, (500, 1), minval=-1.0)
  for log_prob_fn in (
    logistic_mixture.log_prob,
    logistic_mixture.log_prob_paper,
  ):
    values, gradient = value_and_gradient(log_prob_fn, theta, luminance, chroma)
    assert np.isfinite(values).all() and (np.asarray(values) <= 1e-6).all()
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize('log_scale', [-7.0, -3.0, 0.0, 3.0])
def test_log_window_agrees_with_float64(log_scale):
  """Covers windows close to the mean and far out in the tails."""
  distance = np.linspace(-3, 3, 61)
  scale = np.exp(log_scale) * 127.5

  def log_mass(x):  # log(sigmoid(p) - sigmoid(m)) as a sum of three terms
    p, m = (x + 0.5) / scale, (x - 0.5) / scale
    log_sigmoid = lambda z: -np.logaddexp(0, -z)  # noqa: E731
    return log_sigmoid(p) + log_sigmoid(-m) + np.log(-np.expm1(m - p))

  actual = logistic_window.log_window(
    jnp.float32(distance * 127.5),
    jnp.float32(log_scale),
    is_lowest=jnp.array(False),
    is_highest=jnp.array(False),
  )
  np.testing.assert_allclose(
    actual, log_mass(np.float32(distance * 127.5)), rtol=2e-6, atol=2e-6
  )


def test_log_prob_agrees_with_distrax_in_the_interior():
  """Uses only grid values far from both ends, which take no tails."""
  theta = random_theta(3, 0.7, 40)
  mixture = logistic_mixture.unpack(theta)
  key = jax.random.key(4)
  chroma = GRID_VALUES[jax.random.randint(key, (40, 2), 90, 166)]
  luminance = jax.random.uniform(key, (40, 1), minval=-1.0)
  mean_a = mixture.means[:, 0] + mixture.coeffs[:, 0] * luminance
  mean_b = (
    mixture.means[:, 1]
    + mixture.coeffs[:, 1] * luminance
    + mixture.coeffs[:, 2] * chroma[:, :1]
  )
  log_probs = 0.0
  for channel, means in enumerate([mean_a, mean_b]):
    scales = jnp.exp(mixture.log_scales[:, channel])
    with jax.numpy_rank_promotion('allow'):  # distrax needs it
      # distrax quantises to integers k with mass cdf(k) - cdf(k - 1).
      quantised = distrax.Quantized(
        distrax.Logistic(127.5 * means + 127.0, 127.5 * scales)
      )
      k = jnp.round(127.5 * chroma[:, channel, None] + 127.5)
      log_probs += quantised.log_prob(k)
  expected = jax.nn.logsumexp(
    jax.nn.log_softmax(mixture.logits) + log_probs, -1
  )
  actual = logistic_mixture.log_prob(theta, luminance, chroma)
  # distrax subtracts two values of the cdf in float32, so it is less accurate.
  np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-3)


def test_log_prob_paper_agrees_with_the_authors_code():
  golden = np.load(GOLDEN)
  x, theta = golden['x'], golden['l']
  actual = -logistic_mixture.log_prob_paper(theta, x[..., :1], x[..., 1:])
  actual = np.asarray(actual) / (np.log(2) * 5 * 4 * 2)
  # Pixel 4 of the first image has a chroma of exactly 0.999 in float32. In
  # float64, the comparison with 0.999 has another result.
  expected = golden['f64_per_pixel']
  keep = np.ones_like(actual, bool)
  keep[0].reshape(-1)[4] = False
  np.testing.assert_allclose(actual[keep], expected[keep], atol=2e-5)
  np.testing.assert_allclose(actual, golden['per_pixel'], atol=2e-5)
  np.testing.assert_allclose(actual.sum((1, 2)), golden['per_image'], rtol=2e-5)


def authors_log_prob(theta, luminance, chroma) -> float:
  """Computes the log-probability of a pixel like the authors' code.

  The arguments and the result are in float64.
  """

  def sigmoid(x):
    return 0.5 + 0.5 * np.tanh(0.5 * x)

  log_weights = theta[:K] - np.log(np.exp(theta[:K] - theta.max()).sum())
  log_weights -= theta.max()
  coeffs = np.tanh(theta[K : 4 * K].reshape(3, K))
  channels = theta[4 * K :].reshape(2, 2, K)
  offsets = coeffs[0] * luminance, coeffs[1] * luminance + coeffs[2] * chroma[0]
  for x, (means, log_scales), offset in zip(
    chroma, channels, offsets, strict=True
  ):
    log_scales = np.maximum(log_scales, -7)
    centred, inverse = x - means - offset, np.exp(-log_scales)
    plus, minus = inverse * (centred + 1 / 255), inverse * (centred - 1 / 255)
    middle = inverse * centred
    delta = sigmoid(plus) - sigmoid(minus)
    log_density = middle - log_scales - 2 * np.logaddexp(0, middle)
    log_mass = np.where(
      delta > 1e-5,
      np.log(np.maximum(delta, 1e-12)),
      log_density - np.log(127.5),
    )
    if x < -0.999:
      log_mass = plus - np.logaddexp(0, plus)
    elif x > 0.999:
      log_mass = -np.logaddexp(0, minus)
    log_weights = log_weights + log_mass
  return np.logaddexp.reduce(log_weights)


def test_log_prob_paper_takes_the_density_where_the_authors_do():
  """With theta this large, most components have less mass than 1e-5."""
  theta = random_theta(10, 5.0, 300)
  for start in (5 * K, 7 * K):  # narrow in the second half of the pixels
    theta = theta.at[150:, start : start + K].add(-8.0)
  rng = np.random.default_rng(11)
  luminance = rng.uniform(-1, 1, (300, 1)).astype(np.float32)
  chroma = rng.uniform(-0.998, 0.998, (300, 2)).astype(np.float32)
  chroma[:4] = [[-1, 0.3], [0.3, -1], [1, 0.3], [0.3, 1]]
  actual = logistic_mixture.log_prob_paper(theta, luminance, chroma)
  expected = [
    authors_log_prob(*(np.asarray(x, np.float64) for x in pixel))
    for pixel in zip(theta, luminance[:, 0], chroma, strict=True)
  ]
  np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=2e-5)


def test_unpack_splits_theta_in_the_documented_order():
  theta = jnp.arange(16.0)[None] - 8.0  # K = 2
  mixture = logistic_mixture.unpack(theta)
  np.testing.assert_allclose(mixture.logits, [[-8, -7]])
  np.testing.assert_allclose(
    mixture.coeffs, np.tanh([[[-6, -5], [-4, -3], [-2, -1]]]), rtol=1e-6
  )
  np.testing.assert_allclose(mixture.means, [[[0, 1], [4, 5]]])
  np.testing.assert_allclose(mixture.log_scales, [[[2, 3], [6, 7]]])
  floor = logistic_mixture.unpack(jnp.full((1, 16), -9.0)).log_scales
  np.testing.assert_allclose(floor, -7.0 * np.ones((1, 2, 2)))
  with pytest.raises(ValueError, match='8 times the number'):
    logistic_mixture.unpack(jnp.zeros((1, 81)))


@pytest.mark.slow
def test_sample_frequencies_match_log_prob():
  """Compares frequencies and probabilities of squares of 16 x 16 colours."""
  theta = random_theta(5, 1.0, 1)[0]
  theta = theta.at[4 * K :].add(
    jnp.asarray(logistic_mixture.initial_theta(K))[4 * K :]
  )
  luminance = jnp.full((1, 1, 1), 0.4)
  prob = np.exp(
    logistic_mixture.log_prob(theta[None, None], luminance, all_chroma())
  )
  count = 100_000
  noise = logistic_mixture.noise(jax.random.key(6), (count, K + 2))
  chroma = logistic_mixture.sample(theta[None], luminance[0], noise)
  index = np.round(127.5 * np.asarray(chroma) + 127.5).astype(int)
  assert index.min() >= 0 and index.max() <= 255
  np.testing.assert_allclose(GRID_VALUES[index], chroma, rtol=2e-7)
  frequencies = np.zeros((16, 16))
  np.add.at(frequencies, (index[:, 0] // 16, index[:, 1] // 16), 1 / count)
  expected = prob.reshape(16, 16, 16, 16).sum((1, 3))
  deviation = np.sqrt(expected * (1 - expected) / count)
  assert (np.abs(frequencies - expected) < 5 * deviation + 1e-5).all()


def test_tails_of_the_noise_are_finite_and_equally_long():
  """The smallest and the largest bits occur in one of 2^23 draws each."""
  lowest, highest = (
    np.asarray(logistic_mixture.noise_from_bits(jnp.full(4, bits, jnp.uint32)))
    for bits in (0, 2**32 - 1)
  )
  np.testing.assert_allclose(lowest[2:], -np.log(2.0**24 - 1), rtol=1e-6)
  np.testing.assert_array_equal(highest[2:], -lowest[2:])
  np.testing.assert_allclose(lowest[:2], -np.log(np.log(2.0**24)), rtol=1e-6)
  np.testing.assert_allclose(highest[:2], np.log(2.0**24), rtol=1e-6)


def test_noise_comes_from_the_random_bits_of_its_key():
  key = jax.random.key(12)
  bits = jax.random.bits(key, (500, K + 2), jnp.uint32)
  np.testing.assert_array_equal(
    logistic_mixture.noise(key, (500, K + 2)),
    logistic_mixture.noise_from_bits(bits),
  )
  mirrored = logistic_mixture.noise_from_bits(~bits)[:, -2:]
  np.testing.assert_allclose(
    logistic_mixture.noise_from_bits(bits)[:, -2:], -mirrored, atol=1e-6
  )


def test_temperature_zero_gives_the_mode():
  theta = random_theta(7, 2.0, 300)
  luminance = jnp.zeros((300, 1))
  noise = logistic_mixture.noise(jax.random.key(8), (300, K + 2))
  mode = logistic_mixture.mode(theta, luminance)
  cold = logistic_mixture.sample(theta, luminance, noise, 0.0)
  np.testing.assert_array_equal(cold, mode)
  warm = logistic_mixture.sample(theta, luminance, noise, 1.0)
  assert (np.asarray(warm) != np.asarray(mode)).any(-1).mean() > 0.5
  best = np.argmax(theta[:, :K], -1)
  mean_a = np.asarray(theta)[np.arange(300), 4 * K + best]
  expected = np.clip(np.round(127.5 * mean_a - 0.5) + 0.5, -127.5, 127.5)
  np.testing.assert_allclose(mode[:, 0], expected / 127.5, rtol=1e-6)


def test_initial_theta_is_better_than_uniform():
  theta = jnp.asarray(logistic_mixture.initial_theta(K))
  key = jax.random.key(9)
  chroma = GRID_VALUES[jax.random.randint(key, (500, 2), 100, 156)]
  log_prob = logistic_mixture.log_prob(
    jnp.broadcast_to(theta, (500, 8 * K)), jnp.zeros((500, 1)), chroma
  )
  assert -log_prob.mean() / np.log(2) / 2 < 7


def test_a_uniform_distribution_costs_eight_bits_per_dim():
  log_prob = np.full((3, 5, 7), -np.log(256.0**2))
  np.testing.assert_allclose(logistic_mixture.bits_per_dim(log_prob), [8, 8, 8])
  np.testing.assert_allclose(logistic_mixture.bits_per_image(log_prob), 16 * 35)
