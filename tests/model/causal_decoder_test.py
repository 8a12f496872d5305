"""Causality, receptive field; incremental passes equal whole-map passes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pic_jax.model import (
  causal_decoder,
  embedding_net,
  incremental_decoder,
  layers,
)

HEIGHT, WIDTH = 5, 7


def build(num_blocks=1, gated=True, channels=2, **kwargs):
  """Returns a small decoder, its data-dependent parameters and its inputs."""
  net = causal_decoder.CausalDecoder(
    features=6, num_blocks=num_blocks, num_outputs=16, gated=gated, **kwargs
  )
  keys = jax.random.split(jax.random.key(num_blocks), 3)
  canvas = jax.random.uniform(keys[0], (3, HEIGHT, WIDTH, channels), minval=-1)
  embedding = jax.random.normal(keys[1], (3, HEIGHT, WIDTH, 4))
  params = jax.jit(net.init)(keys[2], canvas, embedding)['params']
  return net, params, canvas, embedding


def run(net, params, canvas, embedding):
  return jax.jit(net.apply)({'params': params}, canvas, embedding)


@pytest.mark.parametrize(
  'gated,heads',
  [
    (True, 0),
    pytest.param(False, 0, marks=pytest.mark.slow),
    pytest.param(True, 2, marks=pytest.mark.slow),
  ],
)
def test_incremental_pass_equals_whole_map_pass(gated, heads):
  net, params, canvas, embedding = build(2, gated, attention_heads=heads)
  whole = run(net, params, canvas, embedding)

  def true_pixel(theta, row, col):
    return canvas[:, row, col], theta

  copied, theta = jax.jit(
    lambda: incremental_decoder.decode(
      net, params, embedding, pixel_fn=true_pixel
    )
  )()
  np.testing.assert_array_equal(copied, canvas)
  theta = jnp.transpose(theta, (2, 0, 1, 3))  # [B, h, w, P]
  np.testing.assert_allclose(theta, whole, atol=1e-5)


@pytest.mark.slow
def test_incremental_pass_is_exact_for_two_samples_and_three_channels():
  net, params, canvas, embedding = build(channels=3)
  canvases = jax.random.uniform(jax.random.key(5), (6, HEIGHT, WIDTH, 3))
  whole = run(net, params, canvases, jnp.repeat(embedding, 2, axis=0))
  _, theta = jax.jit(
    lambda: incremental_decoder.decode(
      net,
      params,
      embedding,
      pixel_fn=lambda theta, row, col: (canvases[:, row, col], theta),
      num_samples=2,
    )
  )()
  np.testing.assert_allclose(
    jnp.transpose(theta, (2, 0, 1, 3)), whole, atol=1e-5
  )


def test_no_pixel_depends_on_itself_or_on_later_ones():
  net, params, canvas, embedding = build(num_blocks=2)
  jacobian = jax.jit(
    jax.jacrev(
      lambda x: net.apply({'params': params}, x, embedding[:1]).sum(-1)[0]
    )
  )(canvas[:1])  # [h, w, 1, h, w, 2]
  num_pixels = HEIGHT * WIDTH
  influence = np.abs(jacobian).sum((2, 5)).reshape(num_pixels, num_pixels)
  is_later = np.triu(np.ones((num_pixels, num_pixels), bool))
  pairs = np.argwhere(is_later & (influence > 0))
  assert not len(pairs), f'(output pixel, later input pixel): {pairs}'


@pytest.mark.slow
@pytest.mark.parametrize('num_blocks', [1, 4])
def test_receptive_field_has_no_hole(num_blocks):
  """The field of n blocks reaches 4n + 1 left, 4n + 4 up and 2n + 1 right."""
  n = num_blocks
  height, width = 4 * n + 7, 6 * n + 7
  net = causal_decoder.CausalDecoder(features=4, num_blocks=n, num_outputs=8)
  keys = jax.random.split(jax.random.key(0), 3)
  canvas = jax.random.uniform(keys[0], (1, height, width, 2), minval=-1)
  embedding = jax.random.normal(keys[1], (1, height, width, 3))
  params = jax.jit(net.init)(keys[2], canvas, embedding)['params']
  row, col = height - 2, 4 * n + 2
  gradient = jax.jit(
    jax.grad(
      lambda x: net.apply({'params': params}, x, embedding)[0, row, col].sum()
    )
  )(canvas)
  seen = np.abs(np.asarray(gradient))[0].sum(-1) > 0

  rows, cols = np.mgrid[:height, :width]
  up, right = row - rows, cols - col
  same_row = (up == 0) & (right < 0) & (right >= -(4 * n + 1))
  rows_above = (up >= 1) & (up <= 4 * n + 4)
  seen_above = seen & rows_above
  assert not (seen & ~(same_row | rows_above)).any(), 'outside the field'
  assert seen[same_row].all(), 'hole in the same row'
  assert right[seen_above].min() == -(4 * n + 1)
  assert right[seen_above].max() == 2 * n + 1
  assert up[seen_above].max() == 4 * n + 4
  for distance in range(1, 4 * n + 5):
    columns = np.flatnonzero(seen[row - distance])
    assert (np.diff(columns) == 1).all(), f'hole {distance} rows above'
    # Every row above has the full width of the field.
    assert columns[0] == col - (4 * n + 1), distance
    assert columns[-1] == col + 2 * n + 1, distance


def test_first_row_and_column_of_shifted_maps_are_zero():
  x = jnp.arange(1.0, 2 * 5 * 7 * 3 + 1).reshape(2, 5, 7, 3)
  down, right = layers.shift_down(x), layers.shift_right(x)
  assert (down[:, 0] == 0).all() and (down[:, 1:] == x[:, :-1]).all()
  assert (right[:, :, 0] == 0).all() and (right[:, :, 1:] == x[:, :, :-1]).all()


@pytest.mark.slow
def test_theta_depends_on_the_embedding_at_its_own_pixel():
  """Unlike the canvas, the embedding is not shifted."""
  net, params, canvas, embedding = build()
  gradient = jax.jit(
    jax.grad(
      lambda e: net.apply({'params': params}, canvas[:1], e)[0, 0, 0].sum()
    )
  )(embedding[:1])
  seen = np.abs(np.asarray(gradient))[0].sum(-1) > 0
  assert seen[0, 0] and not seen[1:].any()


@pytest.mark.slow
def test_parts_of_the_conditioning_add_up_to_the_whole():
  net, params, _, embedding = build()
  down = jax.random.normal(jax.random.key(9), (3, HEIGHT, WIDTH, 6))

  def both(net):
    block = net.down_right_blocks[0]
    net.start(embedding, 3)
    parts = block.condition_part(embedding, 6, with_bias=True)
    parts += block.condition_part(down, 0, with_bias=False)
    return block.condition(down, embedding), parts

  (whole, parts), _ = net.apply(
    {'params': params}, method=both, mutable=['cache', 'constants']
  )
  np.testing.assert_allclose(parts, whole, atol=1e-5)


@pytest.mark.slow
def test_remat_does_not_change_gradients():
  net, params, canvas, embedding = build(num_blocks=2)

  def gradient(net):
    return jax.jit(
      jax.grad(
        lambda params: jnp.square(
          net.apply({'params': params}, canvas, embedding)
        ).sum()
      )
    )(params)

  plain, remat = gradient(net), gradient(net.clone(remat=True))
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-4),
    plain,
    remat,
  )


@pytest.mark.slow
def test_every_block_is_conditioned_on_the_embedding():
  """In each kernel, the part that reads the embedding has a gradient."""
  net, params, canvas, embedding = build(num_blocks=2)
  gradient = jax.jit(
    jax.grad(
      lambda p: jnp.square(net.apply({'params': p}, canvas, embedding)).sum()
    )
  )(params)
  width = 2 * embedding.shape[-1]
  for index in range(2):
    for stream in ('down_blocks', 'down_right_blocks'):
      kernel = gradient[f'{stream}_{index}']['conditioning']['V']
      part = np.asarray(kernel)[0, 0, -width:]  # the embedding comes last
      assert (np.abs(part).max(1) > 1e-6).all(), (stream, index)
      if stream == 'down_right_blocks':
        assert np.abs(kernel[0, 0, :-width]).max() > 1e-6


def test_theta_is_a_1x1_convolution_of_the_elu_of_the_last_block():
  net, params, canvas, embedding = build()
  theta, captured = net.apply(
    {'params': params},
    canvas,
    embedding,
    capture_intermediates=True,
    mutable=['intermediates'],
  )
  blocks = captured['intermediates']['down_right_blocks_0']['__call__']
  x = np.asarray(blocks[0])
  V, g, b = (np.asarray(params['head'][name]) for name in 'Vgb')
  kernel = g * V[0, 0] / np.sqrt(np.square(V[0, 0]).sum(0))
  expected = np.where(x > 0, x, np.expm1(x)) @ kernel + b
  np.testing.assert_allclose(theta, expected, atol=1e-5)


def test_shifts_come_after_the_bias():
  """The first row or column of a shifted map is 0, without the bias."""
  net, params, canvas, embedding = build()
  theta = run(net, params, canvas, embedding)

  def changed_by(name):
    other = jax.tree.map(lambda x: x, params)
    other[name]['b'] = other[name]['b'] + 1e3
    return run(net, other, canvas, embedding) != theta

  for name in ('above_input', 'row_input', 'pixel_input'):
    assert not changed_by(name)[:, 0, 0].any(), name
  assert not changed_by('row_input')[:, 0].any()


@pytest.mark.parametrize('network', ['decoder', 'embedding'])
def test_dropout_acts_in_both_networks(network):
  net, params, canvas, embedding = build(dropout_rate=0.5)
  inputs = (canvas, embedding)
  if network == 'embedding':
    net = embedding_net.EmbeddingNet(((4, 1, 1, 1),), 3, dropout_rate=0.5)
    inputs = (canvas[..., :1],)
    params = jax.jit(net.init)(jax.random.key(0), *inputs)['params']
  draw = jax.jit(
    lambda key: net.apply(
      {'params': params}, *inputs, True, rngs={'dropout': key}
    )
  )
  outputs = [draw(key) for key in jax.random.split(jax.random.key(1))]
  assert (outputs[0] != outputs[1]).any()
