"""Learning rates; Adam and Muon compared with formulas in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pic_jax.model import layers, parameters
from pic_jax.training import optimizers
from tests import tiny


def test_learning_rate_decays_every_step_and_cools_down_to_zero():
  config = tiny.config('cifar10')
  config.training.num_steps = 2000
  schedule = optimizers.learning_rate_fn(config, 1e-3)
  for step in (0, 1, 1000):
    np.testing.assert_allclose(schedule(step), 1e-3 * 0.99995**step, rtol=1e-5)
  config.optimizer.cooldown_share = 0.4
  cooled = optimizers.learning_rate_fn(config, 1e-3)
  for step, factor in ((0, 1), (1200, 1), (1400, 0.75), (1900, 1 / 8)):
    np.testing.assert_allclose(cooled(step), factor * schedule(step), rtol=1e-4)
  assert cooled(2000) == 0


def test_adam_equals_its_formula_with_the_settings_of_the_config(monkeypatch):
  """Takes steps with gradients 1 and -2; epsilon is large enough to matter."""
  config = tiny.config('cifar10')
  monkeypatch.setattr(optimizers, 'ADAM_EPSILON', 0.1)
  config.optimizer.decay_rate = 0.5
  optimizer = optimizers.make_optimizer(config)
  state = optimizer.init(jnp.zeros(()))
  mean = square = 0.0
  for step, gradient in enumerate([1.0, -2.0]):
    update, state = optimizer.update(jnp.asarray(gradient), state)
    mean = 0.95 * mean + 0.05 * gradient
    square = 0.9995 * square + 0.0005 * gradient**2
    m = mean / (1 - 0.95 ** (step + 1))
    v = square / (1 - 0.9995 ** (step + 1))
    expected = -1e-3 * 0.5**step * m / (np.sqrt(v) + 0.1)
    np.testing.assert_allclose(update, expected, rtol=1e-4)


def orthogonal_factor(x):
  """Computes the Newton-Schulz iteration without shortcuts, in float64."""
  x = x / np.linalg.norm(x)
  for a, b, c in optimizers.NEWTON_SCHULZ:
    gram = x @ x.T
    x = a * x + b * gram @ x + c * gram @ gram @ x
  return x


@pytest.mark.parametrize(
  'shape', [(3, 3, 32, 32), (3, 3, 64, 64), (1, 1, 10, 32)]
)
def test_muon_turns_every_direction_by_the_orthogonal_factor(shape):
  """Takes two steps, for tall matrices from 3x3 kernels and for a wide one."""
  beta, rng = 0.95, np.random.default_rng(0)
  V = rng.normal(size=shape) * rng.uniform(0.1, 3, shape[-1])
  params = {'V': jnp.asarray(V, jnp.float32)}
  optimizer = optimizers.muon(lambda step: 0.5)
  state, momentum = optimizer.init(params), 0.0
  for _ in range(2):
    gradient = 1e-6 * rng.normal(size=shape)
    update, state = optimizer.update(
      {'V': jnp.asarray(gradient, jnp.float32)}, state, params
    )
    momentum = beta * momentum + (1 - beta) * gradient
    nesterov = beta * momentum + (1 - beta) * gradient
    factor = orthogonal_factor(nesterov.reshape(-1, shape[-1]))
    factor *= max(1, factor.shape[1] / factor.shape[0]) ** 0.5
    V = V.reshape(factor.shape)
    lengths = np.linalg.norm(V, axis=0)
    turned = V - 0.5 * factor * lengths
    expected = turned * lengths / np.linalg.norm(turned, axis=0) - V
    actual = np.asarray(update['V']).reshape(V.shape)
    error = np.linalg.norm(actual - expected)
    assert error < 1e-3 * np.linalg.norm(expected)
    if shape[0] == 3:
      singular_values = np.linalg.svd(factor, compute_uv=False)
      assert singular_values.min() > 0.6 and singular_values.max() < 1.2
      ratios = np.linalg.norm(actual, axis=0) / (0.5 * lengths)
      assert 0.8 < ratios.min() and ratios.max() < 1.2


def test_muon_keeps_the_lengths_of_directions():
  """The loss depends on normalised directions, as with weight norm."""
  rng = np.random.default_rng(0)
  V = rng.normal(0, 0.05, (3, 3, 16, 8)).astype(np.float32)
  target = jnp.asarray(rng.normal(size=V.shape), jnp.float32)
  optimizer = optimizers.muon(lambda step: 0.02)

  @jax.jit
  def step(params, state):
    gradient = jax.grad(lambda p: (layers._normalize(p['V']) * target).sum())(
      params
    )
    update, state = optimizer.update(gradient, state, params)
    return jax.tree.map(jnp.add, params, update), state

  params = {'V': jnp.asarray(V)}
  state = optimizer.init(params)
  for _ in range(300):
    params, state = step(params, state)
  np.testing.assert_allclose(
    np.square(params['V']).sum((0, 1, 2)),
    np.square(V).sum((0, 1, 2)),
    rtol=1e-3,
  )


def test_muon_updates_hidden_directions_and_adam_the_rest(monkeypatch):
  """All values of Adam's first update have the size of its learning rate."""
  config = tiny.config('cifar10')
  config.optimizer.name = 'muon'
  config.optimizer.learning_rate = 1e-5
  monkeypatch.setattr(optimizers, 'ADAM_EPSILON', 1e-12)
  net = tiny.net(attention_heads=2)
  params = jax.tree.map(
    lambda leaf: jnp.ones(leaf.shape), parameters.shapes(net, 4)
  )
  optimizer = optimizers.make_optimizer(config)
  updates = jax.jit(
    lambda: optimizer.update(params, optimizer.init(params), params)[0]
  )()
  by_adam = {
    '/'.join(key.key for key in path)
    for path, update in jax.tree_util.tree_leaves_with_path(updates)
    if np.allclose(update, -1e-5, rtol=1e-3)
  }
  directions = {name[:-2] for name in by_adam if name.endswith('/V')}
  assert directions == {
    'embedding/stage_0',
    'embedding/head',
    'decoder/above_input',
    'decoder/row_input',
    'decoder/pixel_input',
    'decoder/head',
  }
  assert len(by_adam) - len(directions) == sum(
    leaf.ndim == 1 for leaf in jax.tree.leaves(params)
  )
