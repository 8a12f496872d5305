"""One training step: means over devices, dropout, EMA, losses."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from pic_jax.model import logistic_mixture, parameters, winograd
from pic_jax.runtime import devices
from pic_jax.saved import run_config
from pic_jax.training import train_step
from tests import tiny


def prepare(**changes):
  net = tiny.net(**changes)
  rgb = tiny.images(16)
  params = parameters.initial(net, net.split_lab(rgb), 0)
  return net, params, rgb


def one_step(net, params, rgb, optimizer=None, **kwargs):
  """Takes one step on eight devices.

  The default optimiser subtracts the gradient, so the state shows it.
  """
  optimizer = optimizer or optax.sgd(1.0)
  step = devices.pmap(
    train_step.train_step_fn(net, optimizer, train_step.Recipe(0.999, **kwargs))
  )
  state = train_step.create(params, optimizer)
  state, parts = step(
    devices.replicate(state),
    devices.shard(rgb),
    devices.replicate(jax.random.key(5)),
  )
  return devices.fetch((state, parts))


def assert_close(left, right, rtol):
  """Compares two trees, relative to the norm of each leaf of the second."""

  def check(x, y):
    scale = np.linalg.norm(np.asarray(y).ravel()) + 1e-8
    assert np.linalg.norm(np.asarray(x - y).ravel()) <= rtol * scale

  jax.tree.map(check, left, right)


@pytest.mark.slow
def test_eight_devices_average_to_the_gradient_of_one():
  assert jax.local_device_count() == 8
  net, params, rgb = prepare(dropout_rate=0.0)
  state, parts = one_step(net, params, rgb)
  (loss, _), gradient = jax.jit(
    jax.value_and_grad(
      train_step.loss_fn(net, train_step.Recipe(0.9)), has_aux=True
    )
  )(params, rgb, jax.random.key(0))
  np.testing.assert_allclose(parts['loss'], loss, rtol=1e-5)
  change = jax.tree.map(lambda old, new: old - new, params, state.params)
  # Small gradients are imprecise as differences of parameters near 1.
  largest = max(np.abs(x).max() for x in jax.tree.leaves(gradient))
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, atol=1e-5 * largest),
    change,
    gradient,
  )
  np.testing.assert_allclose(
    parts['grad_norm'], optax.tree.norm(gradient), rtol=1e-5
  )


@pytest.mark.slow
def test_loss_and_gradients_with_winograd_equal_plain_ones(monkeypatch):
  # The second stage is dilated, and the decoder is causal. The maps are 8 x 8.
  stages = ((6, 1, 0, 1), (8, 2, 1, 2))
  net = tiny.net(embedding_stages=stages, decoder_blocks=1, dropout_rate=0.5)
  rgb = tiny.images(4, 16, 16)
  rng = np.random.default_rng(0)
  params = jax.tree.map(
    lambda leaf: rng.normal(0.0, 0.3, leaf.shape).astype(np.float32),
    parameters.shapes(net, 16),
  )
  monkeypatch.setattr(winograd, 'MIN_CHANNELS', 1)

  def step(min_positions):
    monkeypatch.setattr(winograd, 'MIN_POSITIONS', min_positions)
    loss_fn = train_step.loss_fn(net, train_step.Recipe(0.9))
    grad_fn = jax.jit(jax.value_and_grad(loss_fn, has_aux=True))
    lowered = grad_fn.lower(params, rgb, jax.random.key(0))
    num_loops = lowered.as_text().count('stablehlo.while')
    return num_loops, lowered.compile()(params, rgb, jax.random.key(0))

  num_loops_plain, (expected, expected_gradient) = step(10**9)
  num_loops, (actual, gradient) = step(1)
  # Each network has 4 convolutions that use Winograd, with one loop forward and
  # one backward. A convolution with a stride does not use it.
  assert num_loops - num_loops_plain == 16
  np.testing.assert_allclose(actual[0], expected[0], rtol=1e-6)
  assert_close(gradient, expected_gradient, 2e-5)


@pytest.fixture(scope='module')
def mapped():
  """Returns a model, its parameters, images, a state and a step function.

  The function takes a state and images. It runs on eight devices, with dropout.
  """
  net, params, rgb = prepare()
  optimizer = optax.sgd(0.1)
  step = devices.pmap(
    train_step.train_step_fn(net, optimizer, train_step.Recipe(0.999))
  )
  state = devices.replicate(train_step.create(params, optimizer))
  keys = devices.replicate(jax.random.key(5))
  return net, params, rgb, state, lambda x, rgb: step(x, rgb, keys)


@pytest.mark.slow
def test_every_device_draws_its_own_dropout_mask(mapped):
  net, params, rgb, state, step = mapped
  same = np.repeat(rgb[:1], 16, 0)
  _, parts = step(state, devices.shard(same))
  key = jax.random.fold_in(jax.random.key(5), 0)
  loss_fn = jax.jit(
    lambda key: train_step.loss_fn(net, train_step.Recipe(0.9))(
      params, same[:2], key
    )[0]
  )
  losses = [float(loss_fn(jax.random.fold_in(key, d))) for d in range(8)]
  assert len(set(losses)) == 8
  np.testing.assert_allclose(
    devices.fetch(parts)['loss'], np.mean(losses), rtol=1e-5
  )


@pytest.mark.slow
def test_ema_is_the_weighted_mean_of_the_parameters(mapped):
  """The decay is 1/10 at first, then 2/11, and at most `ema_decay`."""
  _, params, rgb, state, step = mapped
  seen = [params]
  for _ in range(2):
    state, _ = step(state, devices.shard(rgb))
    seen.append(devices.fetch(state.params))

  def expected(p0, p1, p2):
    first = 0.1 * p0 + 0.9 * p1
    return 2 / 11 * first + 9 / 11 * p2

  assert_close(
    devices.fetch(state.ema_params), jax.tree.map(expected, *seen), 1e-5
  )
  assert train_step.ema_decay_at(jnp.array(10**6), 0.999) == np.float32(0.999)
  assert devices.fetch(state.step) == 2


@pytest.mark.slow
def test_every_step_draws_new_dropout_masks(mapped):
  _, _, rgb, state, step = mapped
  losses = []
  for number in range(2):  # with the same parameters
    state = state.replace(step=devices.replicate(jnp.int32(number)))
    _, parts = step(state, devices.shard(rgb))
    losses.append(float(devices.fetch(parts)['loss']))
  assert losses[0] != losses[1]


@pytest.mark.slow
def test_auxiliary_loss_is_the_likelihood_of_the_first_channels():
  net, params, rgb = prepare(dropout_rate=0.0, embedding_features=24)

  def parts_of(params, weight):
    loss_fn = train_step.loss_fn(
      net.clone(embedding_loss_weight=weight), train_step.Recipe(0.9)
    )
    return loss_fn(params, rgb, jax.random.key(0))[1]

  with_it, without = parts_of(params, 0.5), parts_of(params, 0.0)
  assert 'embedding_bits_per_dim' not in without
  np.testing.assert_allclose(
    with_it['loss'],
    without['loss'] + 0.5 * with_it['embedding_bits_per_dim'],
    rtol=1e-6,
  )
  lab = net.split_lab(rgb)
  _, embedding = net.apply({'params': params}, lab.luminance, lab.chroma)
  log_prob = logistic_mixture.log_prob(
    embedding[..., :16], lab.luminance_small, lab.chroma
  )
  np.testing.assert_allclose(
    with_it['embedding_bits_per_dim'],
    logistic_mixture.bits_per_dim(log_prob).mean(),
    rtol=1e-5,
  )
  gradient = jax.jit(
    jax.grad(lambda p: parts_of(p, 1.0)['embedding_bits_per_dim'])
  )(params)
  assert all((x == 0).all() for x in jax.tree.leaves(gradient['decoder']))
  assert np.abs(gradient['embedding']['head']['V'][..., :16]).max() > 0
  assert (gradient['embedding']['head']['V'][..., 16:] == 0).all()


@pytest.mark.slow
@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_loss_falls_on_one_batch(dtype):
  net, params, rgb = prepare(dropout_rate=0.0, dtype=dtype)
  optimizer = optax.adam(3e-3)
  step = devices.pmap(
    train_step.train_step_fn(net, optimizer, train_step.Recipe(0.9))
  )
  state = devices.replicate(train_step.create(params, optimizer))
  keys = devices.replicate(jax.random.key(0))
  losses = []
  for _ in range(30):
    state, parts = step(state, devices.shard(rgb), keys)
    losses.append(float(devices.fetch(parts)['loss']))
  assert losses[-1] < losses[0] - 1


@pytest.mark.slow
def test_a_frozen_level_is_left_out_of_the_loss():
  params, config = tiny.model_with_levels()
  net = run_config.build_model(config)
  rgb = tiny.images(2, 16, 16)

  def parts_and_gradients(frozen):
    loss_fn = train_step.loss_fn(net, train_step.Recipe(0.9, frozen=frozen))
    grad_fn = jax.jit(jax.grad(loss_fn, has_aux=True))
    gradients, parts = grad_fn(params, rgb, jax.random.key(0))
    return parts, gradients

  whole, _ = parts_and_gradients(())
  parts, gradients = parts_and_gradients(('level_1',))
  assert whole.keys() - parts.keys() == {'level_1_bits_per_dim'}
  assert parts['level_0_bits_per_dim'] == parts['bits_per_dim']
  np.testing.assert_allclose(
    parts['loss'], whole['loss'] - whole['level_1_bits_per_dim'], rtol=1e-5
  )
  assert not any(x.any() for x in jax.tree.leaves(gradients['level_1']))
  assert any(x.any() for x in jax.tree.leaves(gradients['decoder']))
