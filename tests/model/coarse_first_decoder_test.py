"""Order of prediction; incremental passes equal whole-map passes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pic_jax.model import coarse_first_decoder, incremental_decoder

HEIGHT, WIDTH = 5, 4  # one odd side, so the last cells are incomplete
NUM_PIXELS = HEIGHT * WIDTH


def build(channels=2, heads=0, **kwargs):
  """Returns a small decoder, its data-dependent parameters and its inputs.

  There are two images with two canvases each.
  """
  net = coarse_first_decoder.CoarseFirstDecoder(
    features=6, num_blocks=1, num_outputs=16, attention_heads=heads, **kwargs
  )
  keys = jax.random.split(jax.random.key(1), 3)
  canvas = jax.random.uniform(keys[0], (4, HEIGHT, WIDTH, channels), minval=-1)
  embedding = jax.random.normal(keys[1], (2, HEIGHT, WIDTH, 4))
  repeated = jnp.repeat(embedding, 2, 0)
  params = jax.jit(net.init)(keys[2], canvas, repeated)['params']
  return net, params, canvas, embedding


def order():
  """Returns the raster indices of all pixels in the order of prediction."""
  net = coarse_first_decoder.CoarseFirstDecoder()
  return net.pixel_order(HEIGHT, WIDTH) @ (WIDTH, 1)


def test_pixel_order_is_the_lattice_and_then_cell_by_cell():
  net = coarse_first_decoder.CoarseFirstDecoder()
  assert net.pixel_order(3, 3).tolist() == [
    *([0, 0], [0, 2], [2, 0], [2, 2]),  # the lattice
    *([0, 1], [1, 0], [1, 1]),
    *([1, 2], [2, 1]),
  ]


def test_from_cells_inverts_to_cells():
  x = jnp.arange(2.0 * 5 * 7 * 3).reshape(2, 5, 7, 3)
  cells = coarse_first_decoder.to_cells(x)
  assert cells.shape == (2, 3, 4, 4, 3)
  np.testing.assert_array_equal(cells[:, 1, 2, 3], x[:, 3, 5])
  np.testing.assert_array_equal(
    cells[..., 0, :], coarse_first_decoder.to_lattice(x)
  )
  np.testing.assert_array_equal(
    coarse_first_decoder.from_cells(cells, (5, 7)), x
  )


@pytest.mark.slow
def test_a_pixel_depends_only_on_pixels_before_it_in_the_order():
  net, params, canvas, embedding = build()
  jacobian = jax.jit(
    jax.jacrev(
      lambda x: net.apply({'params': params}, x, embedding[:1]).sum(-1)[0]
    )
  )(canvas[:1])  # [h, w, 1, h, w, 2]
  influence = np.abs(jacobian).sum((2, 5)).reshape(NUM_PIXELS, NUM_PIXELS)
  in_order = influence[np.ix_(order(), order())]
  is_later = np.triu(np.ones((NUM_PIXELS, NUM_PIXELS), bool))
  assert not in_order[is_later].any()
  # The last pixel depends on all others. The first pixel after the lattice
  # depends on the whole lattice, including the rows below this pixel.
  assert (in_order[-1, :-1] > 0).all()
  num_lattice = 6
  assert (in_order[num_lattice, :num_lattice] > 0).all()
  # Within a cell, each pixel depends on the pixel before it.
  assert in_order[num_lattice + 1, num_lattice] > 0
  assert in_order[num_lattice + 2, num_lattice + 1] > 0


@pytest.mark.slow
@pytest.mark.parametrize(
  'channels,heads,with_hints',
  [
    (2, 0, False),
    (3, 0, False),
    (2, 2, True),
  ],
)
def test_incremental_pass_equals_whole_map_pass(channels, heads, with_hints):
  net, params, canvas, embedding = build(channels, heads)
  hints = None
  if with_hints:  # equal for both canvases of an image, as in sampling
    is_known = np.zeros((2, HEIGHT, WIDTH, 1), np.float32)
    is_known[0, 0, 2] = is_known[0, 2, 3] = is_known[1, 4, 0] = 1
    known = jnp.repeat(jnp.asarray(is_known), 2, 0) > 0
    canvas = jnp.where(known, jnp.repeat(canvas[::2], 2, 0), canvas)
    hints = jnp.concatenate([canvas[::2] * is_known, is_known], -1)
  repeated_hints = None if hints is None else jnp.repeat(hints, 2, 0)
  whole = jax.jit(
    lambda: net.apply(
      {'params': params},
      canvas,
      jnp.repeat(embedding, 2, 0),
      hints=repeated_hints,
    )
  )()
  if with_hints:  # the hints change theta
    without = net.apply({'params': params}, canvas, jnp.repeat(embedding, 2, 0))
    assert np.abs(whole - without).max() > 1e-4

  def true_pixel(theta, row, col):
    return canvas[:, row, col], theta

  copied, theta = jax.jit(
    lambda: incremental_decoder.decode(
      net,
      params,
      embedding,
      pixel_fn=true_pixel,
      num_samples=2,
      hints=hints,
    )
  )()
  np.testing.assert_array_equal(copied, canvas)
  theta = jnp.transpose(theta, (2, 0, 1, 3))  # [B, h, w, P]
  np.testing.assert_allclose(theta, whole, atol=1e-5)


@pytest.mark.slow
def test_theta_depends_on_the_embedding_at_its_own_pixel():
  net, params, canvas, embedding = build()
  jacobian = jax.jit(
    jax.jacrev(
      lambda e: net.apply({'params': params}, canvas[:1], e).sum(-1)[0]
    )
  )(embedding[:1])  # [h, w, 1, h, w, E]
  influence = np.abs(jacobian).sum((2, 5)).reshape(NUM_PIXELS, NUM_PIXELS)
  assert (np.diagonal(influence) > 0).all()


@pytest.mark.slow
def test_dropout_acts_only_in_training():
  net, params, canvas, embedding = build(dropout_rate=0.5)
  inputs = {'params': params}, canvas, jnp.repeat(embedding, 2, 0)
  rngs = {'dropout': jax.random.key(0)}
  without_dropout = net.apply(*inputs)
  np.testing.assert_array_equal(net.apply(*inputs), without_dropout)
  with_dropout = net.apply(*inputs, train=True, rngs=rngs)
  change = np.asarray(np.abs(with_dropout - without_dropout)).max((0, 3))
  assert (change.ravel()[order()[1:]] > 0).all()
