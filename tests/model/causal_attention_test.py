"""Attention: formula and causality; chunks, rows and pixels of a map."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pic_jax.model import causal_attention, hints

HEIGHT, WIDTH, HEADS = 5, 7, 2
NUM_PIXELS = HEIGHT * WIDTH


@pytest.fixture(scope='module')
def case():
  """Returns a module, its parameters, canvases and embeddings.

  There are three images with two canvases each.
  """
  net = causal_attention.CausalAttention(features=6, num_heads=HEADS)
  keys = jax.random.split(jax.random.key(0), 7)
  canvas = jax.random.uniform(keys[0], (6, HEIGHT, WIDTH, 2), minval=-1)
  embedding = jax.random.normal(keys[1], (3, HEIGHT, WIDTH, 4))
  params = jax.jit(net.init)(keys[2], canvas[::2], embedding)['params']
  for key, name in zip(
    keys[3:], ('log_sharpness', 'log_slope', 'nothing'), strict=False
  ):
    params[name] = 0.3 * jax.random.normal(key, (HEADS,))
  return net, params, canvas, embedding


def hints_of(canvas):
  """Builds hints at three pixels of each canvas [B, h, w, 2] but the last."""
  mask = jnp.zeros(canvas.shape[:3], bool)
  for pixel in ((0, 2), (2, 5), (4, 6)):
    mask = mask.at[:-1, *pixel].set(True)
  return hints.from_mask(canvas, mask)


@pytest.mark.parametrize('is_hinted', (False, True))
def test_row_and_pixel_passes_equal_whole_map_pass(case, is_hinted):
  """The canvases of an image share the attention weights and the hints."""
  net, params, canvas, embedding = case
  hint_map = hints_of(canvas[::2]) if is_hinted else None
  repeated_hints = hint_map
  if is_hinted:
    repeated_hints = jnp.repeat(hint_map, 2, 0)
    canvas = hints.put(canvas, repeated_hints)
  whole = jax.jit(net.apply)(
    {'params': params}, canvas, jnp.repeat(embedding, 2, 0), repeated_hints
  )

  def steps(net):
    net.start(embedding, 6, hint_map)
    rows = []
    for row in range(HEIGHT):
      above = net.start_row()
      from_left = [jnp.zeros_like(above[:, :, :1])]
      for col in range(WIDTH):
        pixel = canvas[:, row : row + 1, col : col + 1]
        from_left.append(net.pixel(pixel, jnp.asarray(col)))
      rows.append(above + jnp.concatenate(from_left[:-1], 2))
    return jnp.concatenate(rows, 1)

  stepwise, variables = jax.jit(
    lambda: net.apply(
      {'params': params}, method=steps, mutable=['cache', 'constants']
    )
  )()
  np.testing.assert_allclose(stepwise, whole, atol=1e-5)
  # The last row is still in `pixels`. The weights are kept for each image, not
  # for each canvas.
  cache = variables['cache']
  assert cache['canvas'].shape == canvas.shape
  np.testing.assert_array_equal(cache['canvas'][:, :-1], canvas[:, :-1])
  assert cache['weights'].shape == (3, HEADS, WIDTH, WIDTH)


@pytest.mark.parametrize('is_hinted', (False, True))
def test_output_equals_the_formula_in_float64(case, is_hinted):
  """The softmax covers earlier and hinted pixels, and attending to nothing."""
  net, params, canvas, embedding = case
  canvas = canvas[::2]
  hint_map = hints_of(canvas) if is_hinted else None
  queries, keys = net.apply(
    {'params': params}, embedding, method='_queries_and_keys'
  )
  logits = np.einsum('bihd,bjhd->bhij', *map(np.float64, (queries, keys)))
  rows, cols = np.divmod(np.arange(NUM_PIXELS), WIDTH)
  distance = np.hypot(rows[:, None] - rows, cols[:, None] - cols)
  slopes = np.linspace(0.02, 0.52, HEADS) * np.exp(params['log_slope'])
  logits -= slopes[:, None, None] * distance
  own = np.arange(NUM_PIXELS)
  logits[:, :, own, own] += np.asarray(params['nothing'])[:, None]
  seen = np.tri(NUM_PIXELS, dtype=bool)[None, None]
  if is_hinted:
    seen = seen | (
      np.asarray(hint_map)[..., 2].reshape(3, 1, 1, NUM_PIXELS) > 0
    )
  weights = seen * np.exp(logits)
  weights /= weights.sum(-1, keepdims=True)
  weights[:, :, own, own] = 0
  ab = 5 * np.float64(canvas).reshape(3, NUM_PIXELS, 2)
  values = np.concatenate([ab, ab**2, np.ones((3, NUM_PIXELS, 1))], -1)
  means = np.einsum('bhij,bjc->bihc', weights, values)
  means = means.reshape(3, HEIGHT, WIDTH, -1)
  V, g, b = (np.float64(params['project'][name]) for name in 'Vgb')
  kernel = g * V[0, 0] / np.linalg.norm(V[0, 0], axis=0)
  if is_hinted:
    # At hinted pixels the values come from the hints, not from the canvas.
    canvas = jnp.where(hint_map[..., 2:] > 0, 0.0, canvas)
  actual = net.apply({'params': params}, canvas, embedding, hint_map)
  np.testing.assert_allclose(actual, means @ kernel + b, atol=1e-5)


def test_all_earlier_pixels_and_no_others_have_influence(case):
  net, params, canvas, embedding = case
  jacobian = jax.jit(
    jax.jacrev(
      lambda x: net.apply({'params': params}, x, embedding[:1]).sum(-1)[0]
    )
  )(canvas[:1])  # [h, w, 1, h, w, 2]
  influence = np.abs(jacobian).sum((2, 5)).reshape(NUM_PIXELS, NUM_PIXELS) > 0
  np.testing.assert_array_equal(influence, np.tri(NUM_PIXELS, k=-1, dtype=bool))


@pytest.mark.slow
def test_chunks_of_rows_need_less_than_half_the_memory_of_whole_maps(
  monkeypatch,
):
  net = causal_attention.CausalAttention(features=6, num_heads=HEADS)
  inputs = jnp.zeros((1, 32, 32, 2)), jnp.zeros((1, 32, 32, 4))
  params = jax.eval_shape(net.init, jax.random.key(0), *inputs)['params']
  num_bytes = {}
  for num_rows in (causal_attention.ROWS_PER_CHUNK, 32):
    monkeypatch.setattr(causal_attention, 'ROWS_PER_CHUNK', num_rows)
    fn = jax.jit(lambda *args: net.apply(*args))
    compiled = fn.lower({'params': params}, *inputs).compile()
    num_bytes[num_rows] = compiled.memory_analysis().temp_size_in_bytes
  chunks, whole = num_bytes.values()
  assert chunks < whole / 2, num_bytes


def test_a_distant_pixel_with_an_equal_embedding_has_the_largest_weight():
  """The last pixel attends most to the first, which has the same embedding."""
  net = causal_attention.CausalAttention(features=6, num_heads=1)
  embedding = jax.random.normal(jax.random.key(0), (1, HEIGHT, WIDTH, 8))
  embedding = embedding.at[0, -1, -1].set(embedding[0, 0, 0])
  canvas = jnp.zeros((1, HEIGHT, WIDTH, 2))
  params = jax.jit(net.init)(jax.random.key(1), canvas, embedding)['params']
  # Keys equal queries, so the product is largest for equal embeddings.
  V = params['queries_and_keys']['V']
  half = V.shape[-1] // 2
  params['queries_and_keys'] = {
    'V': jnp.concatenate([V[..., :half]] * 2, -1),
    'g': jnp.full(2 * half, 1.5),
    'b': jnp.zeros(2 * half),
  }

  def weights_of(net):
    return net._weights(*net._queries_and_keys(embedding), WIDTH, first=0)

  weights = jax.jit(lambda: net.apply({'params': params}, method=weights_of))()
  assert weights[0, 0, -1].argmax() == 0
