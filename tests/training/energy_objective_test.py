"""The gradient of the energy score through samples."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pic_jax.evaluation import metrics
from pic_jax.images import color
from pic_jax.model import hints, logistic_mixture
from pic_jax.sampling import conditions, sample
from pic_jax.saved import run_config
from pic_jax.training import energy_objective, train_step
from tests import tiny

KEY = jax.random.key(3)


@pytest.fixture(scope='module')
def small():
  """A PIC whose map is 2 x 4, with hints in some of the images."""
  net = tiny.net(hint_share=0.5, attention_heads=2)
  lab = net.split_lab(tiny.images(3, 4, 8))
  params = tiny.trained_like(net, lab)
  # Samples that depend more on their neighbours than on noise.
  decoder = params['decoder']
  for name in ('above_input', 'row_input', 'pixel_input'):
    decoder[name]['g'] *= 10
  log_scales = np.array([10, 11, 14, 15])
  decoder['head']['g'] = decoder['head']['g'].at[log_scales].multiply(0.1)
  decoder['head']['b'] = decoder['head']['b'].at[log_scales].set(-3.0)
  hint_map = hints.draw(jax.random.key(1), lab.chroma, 0.6)
  assert 0 < hint_map[..., 2].sum() < hint_map[..., 2].size
  embedding = net.apply(
    {'params': params}, lab.luminance, hints=hint_map, method='embed'
  ).embedding
  return net, params, embedding, lab, hint_map


def draw_inputs(net, embedding, lab, hint_map):
  """The inputs of the samples that `energy_loss` draws."""
  repeats = energy_objective.NUM_SAMPLES
  shape = (len(embedding) * repeats, *lab.chroma.shape[1:3])
  return conditions.SamplerInputs(
    embedding,
    jnp.repeat(lab.luminance_small, repeats, 0),
    logistic_mixture.noise(
      jax.random.fold_in(KEY, 3), (*shape, net.num_components + 2)
    ),
    jnp.repeat(hint_map, repeats, 0),
  )


def score(canvas, lab):
  canvas = canvas.reshape(len(lab.chroma), -1, *canvas.shape[1:])
  return metrics.energy_score_multiscale(
    color.chroma_from_network(canvas), color.chroma_from_network(lab.chroma)
  ).mean()


def test_straight_through_samples_are_the_samples():
  rng = np.random.default_rng(0)
  theta = jnp.asarray(rng.normal(0, 1, (500, 24)), jnp.float32)
  luminance = jnp.asarray(rng.uniform(-1, 1, (500, 1)), jnp.float32)
  noise = logistic_mixture.noise(KEY, (500, 5))
  expected = logistic_mixture.sample(theta, luminance, noise)
  assert (jnp.abs(expected) == 1).any()  # the limits of the range
  actual = energy_objective.straight_through_sample(theta, luminance, noise)
  np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_the_gradient_moves_means_and_weights_towards_the_target():
  """Two components at a = -0.5 and 0.5; only the weights can be wrong."""
  theta = jnp.zeros(16).at[8].set(-0.5).at[9].set(0.5)
  theta = theta.at[10:12].set(-4.0).at[14:16].set(-4.0)
  noise = logistic_mixture.noise(KEY, (400, 4))
  theta, luminance = jnp.tile(theta, (400, 1)), jnp.zeros((400, 1))

  def error(theta):
    drawn = energy_objective.straight_through_sample(theta, luminance, noise)
    return ((drawn[:, 0] - 0.5) ** 2).mean()

  gradient = jax.grad(error)(theta).sum(0)
  assert gradient[0] > 0.05 and gradient[1] < -0.05  # logits
  assert gradient[8] < -0.5 and abs(gradient[9]) < 0.05  # means of a


@pytest.mark.slow
def test_all_terms_give_the_gradient_through_pixel_by_pixel_sampling(small):
  """Against automatic differentiation of sequential sampling."""
  net, params, embedding, lab, hint_map = small
  height, width = lab.chroma.shape[1:3]
  decoder = net.build_decoder()

  def sequential(decoder_params, embedding):
    inputs = draw_inputs(net, embedding, lab, hint_map)
    canvas = jnp.zeros((*inputs.luminance.shape[:3], 2))
    for row, col in decoder.pixel_order(height, width):
      theta = decoder.apply(
        {'params': decoder_params},
        canvas,
        inputs.repeated_embedding(),
        hints=inputs.hints,
      )
      drawn = energy_objective.straight_through_sample(
        theta, inputs.luminance, inputs.noise
      )
      drawn = hints.put(drawn, inputs.hints)
      canvas = canvas.at[:, row, col].set(drawn[:, row, col])
    return score(canvas, lab)

  def loss(decoder_params, embedding, num_terms):
    return energy_objective.energy_loss(
      net,
      params | {'decoder': decoder_params},
      embedding,
      lab=lab,
      hint_map=hint_map,
      key=KEY,
      num_terms=num_terms,
    )

  both = functools.partial(jax.value_and_grad, argnums=(0, 1))
  arguments = params['decoder'], embedding
  expected_value, expected = jax.jit(both(sequential))(*arguments)
  compiled = jax.jit(both(loss), static_argnums=2)
  value, found = compiled(*arguments, height * width - 1)
  np.testing.assert_allclose(value, expected_value, rtol=1e-5)

  def distance(found):
    squares = jax.tree.map(lambda x, y: ((x - y) ** 2).sum(), found, expected)
    norms = jax.tree.map(lambda y: (y**2).sum(), expected)
    return np.sqrt(sum(jax.tree.leaves(squares)) / sum(jax.tree.leaves(norms)))

  assert distance(found) < 1e-4
  # The test would not notice a missing term if terms did not matter.
  assert distance(compiled(*arguments, 0)[1]) > 0.01


@pytest.mark.slow
def test_the_value_is_the_score_of_the_samples(small):
  net, params, embedding, lab, hint_map = small
  inputs = draw_inputs(net, embedding, lab, hint_map)
  canvas, _, _ = jax.jit(sample.cached, static_argnums=0)(net, params, inputs)
  known = inputs.hints[..., 2:] > 0
  np.testing.assert_array_equal(
    jnp.where(known, canvas, 0), jnp.where(known, inputs.hints[..., :2], 0)
  )
  loss = jax.jit(
    functools.partial(energy_objective.energy_loss, net, key=KEY, num_terms=0)
  )(params, embedding, lab=lab, hint_map=hint_map)
  np.testing.assert_allclose(loss, score(canvas, lab), rtol=1e-5)
  assert jnp.isfinite(loss)


@pytest.mark.slow
def test_the_loss_contains_the_weighted_score():
  params, config = tiny.levelled_model()
  net = run_config.build_model(config)
  rgb = tiny.images(3, 16, 16)

  def loss(energy_weight):
    recipe = train_step.Recipe(0.9, energy_weight=energy_weight)
    return jax.jit(train_step.loss_fn(net, recipe))(params, rgb, KEY)

  total, parts = loss(0.25)
  without, _ = loss(0.0)
  weight = 0.25 / 4**net.levels  # per value of the finest map, like the bits
  np.testing.assert_allclose(
    total - without, weight * parts['energy_score'], rtol=1e-3
  )
  assert parts['energy_score'] > 1


def test_equal_samples_have_a_finite_gradient():
  samples = jnp.zeros((1, 2, 4, 4, 2))
  target = jnp.ones((1, 4, 4, 2))
  gradient = jax.grad(
    lambda x: metrics.energy_score_multiscale(x, target).sum()
  )(samples)
  assert jnp.isfinite(gradient).all() and (gradient < 0).all()
