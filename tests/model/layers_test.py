"""Initialisation, weight norm, causal convolutions and the gated block."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pic_jax.model import causal_conv, layers


def init_and_apply(module, x):
  """Initialises a module on x; returns its parameters and its output."""
  params = module.init(jax.random.key(0), x)['params']
  return params, module.apply({'params': params}, x)


@pytest.mark.parametrize('stride,dilation', [(1, 1), (2, 1), (1, 2)])
def test_initial_output_has_the_given_mean_and_deviation(stride, dilation):
  x = 3 + jax.random.normal(jax.random.key(1), (4, 10, 14, 3))
  conv = layers.WeightNormConv(
    5,
    (3, 3),
    stride=stride,
    dilation=dilation,
    init_scale=0.1,
    init_mean=(0.0, 1.0, 2.0, 3.0, 4.0),
  )
  _, y = init_and_apply(conv, x)
  np.testing.assert_allclose(y.mean((0, 1, 2)), np.arange(5), atol=1e-4)
  np.testing.assert_allclose(y.std((0, 1, 2)), 0.1 * np.ones(5), rtol=1e-4)


def test_concat_elu_and_1x1_convolution_equal_their_plain_forms():
  """The gradients are equal, too, even at inputs of 0."""
  x = jax.random.normal(jax.random.key(1), (2, 5, 7, 3)).at[0, 0].set(0.0)
  kernel = jax.random.normal(jax.random.key(2), (1, 1, 6, 4)) / 6
  weights = jax.random.normal(jax.random.key(3), (2, 5, 7, 4))

  def fast(x, kernel):
    return layers.convolve(layers.concat_elu(x), kernel)

  def plain(x, kernel):
    y = nn.elu(jnp.concatenate([x, -x], -1))
    return jax.lax.conv_general_dilated(
      y, kernel, (1, 1), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
    )

  def value_and_gradients(fn):
    y, pullback = jax.vjp(fn, x, kernel)
    return y, *pullback(weights)

  for actual, expected in zip(
    value_and_gradients(fast), value_and_gradients(plain), strict=True
  ):
    atol = 1e-6 * np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, atol=atol)


def test_weight_norm_is_invariant_to_the_length_of_the_directions():
  x = jax.random.normal(jax.random.key(1), (2, 5, 7, 3))
  conv = layers.WeightNormConv(4, (3, 3))
  params, y = init_and_apply(conv, x)
  longer = params | {'V': 7.0 * params['V']}
  np.testing.assert_allclose(conv.apply({'params': longer}, x), y, atol=1e-5)
  V, g, b = (np.asarray(params[name], np.float64) for name in 'Vgb')
  kernel = g * V / np.sqrt(np.square(V).sum((0, 1, 2)))
  patch = np.asarray(x)[1, 2:5, 3:6]
  expected = np.einsum('hwc,hwcf->f', patch, kernel) + b
  np.testing.assert_allclose(y[1, 3, 4], expected, atol=1e-5)


@pytest.mark.parametrize('left,right,height', [(1, 1, 3), (2, 0, 3), (0, 0, 2)])
def test_row_and_pixel_passes_equal_whole_map_pass(left, right, height):
  """Feeds 1 or 2 rows at a time. The pixel pass requires `right` to be 0."""
  x = jax.random.normal(jax.random.key(2), (2, 5, 7, 3))
  conv = causal_conv.CausalConv(
    4, (height, left + right + 1), left=left, right=right
  )
  params, whole = init_and_apply(conv, x)

  def step(variables, *args, method):
    y, updates = conv.apply(variables, *args, method=method, mutable=['cache'])
    return y, variables | updates

  def start(by_pixel):
    _, variables = conv.apply(
      {'params': params},
      2,
      7,
      by_pixel,
      method='start',
      mutable=['cache', 'constants'],
    )
    return variables

  variables, rows = start(False), []
  for next_rows in (x[:, :1], x[:, 1:3], x[:, 3:4], x[:, 4:]):
    y, variables = step(variables, next_rows, method='__call__')
    rows.append(y)
  np.testing.assert_allclose(jnp.concatenate(rows, 1), whole, atol=1e-5)
  if right:
    return
  variables = start(True)
  for row in range(5):
    _, variables = step(variables, method='start_row')
    for col in range(7):
      pixel = x[:, row : row + 1, col : col + 1]
      y, variables = step(variables, pixel, col, method='pixel')
      np.testing.assert_allclose(y[:, 0, 0], whole[:, row, col], atol=1e-5)


@pytest.mark.parametrize('gated', [True, False])
def test_gated_block_equals_the_formula_of_the_paper(gated):
  """The formula is x + y sigmoid(z) if gated, and otherwise x + y."""
  conv = functools.partial(layers.WeightNormConv, kernel_size=(3, 3))
  block = layers.GatedBlock(3, conv, gated=gated)
  x = jax.random.normal(jax.random.key(3), (2, 5, 7, 3))
  conditioning = jax.random.normal(jax.random.key(4), (2, 5, 7, 3))
  params = block.init(jax.random.key(0), x)['params']

  def apply(name, y):
    width = params[name]['g'].shape[0]
    return conv(width).apply({'params': params[name]}, y)

  def elu(x):
    x = np.asarray(x)
    return np.where(x > 0, x, np.expm1(x))

  y = apply('first', np.concatenate([elu(x), elu(-x)], -1)) + conditioning
  y = apply('second', np.concatenate([elu(y), elu(-y)], -1))
  if gated:
    y = y[..., :3] / (1 + np.exp(-y[..., 3:]))
  out = block.apply({'params': params}, x, conditioning)
  np.testing.assert_allclose(out, x + y, atol=1e-5)


@pytest.mark.slow
def test_only_the_first_convolution_of_a_block_is_dilated():
  """The block reaches 2 (dilated) + 1 pixels to every side."""
  conv = functools.partial(
    layers.WeightNormConv, kernel_size=(3, 3), dilation=2
  )
  block = layers.GatedBlock(2, conv)
  x = jax.random.normal(jax.random.key(3), (1, 11, 13, 2))
  params = block.init(jax.random.key(0), x)['params']
  gradient = jax.grad(
    lambda x: block.apply({'params': params}, x)[0, 5, 6].sum()
  )(x)
  rows, cols = np.nonzero(np.abs(np.asarray(gradient))[0].sum(-1))
  assert (rows.min(), rows.max()) == (2, 8)
  assert (cols.min(), cols.max()) == (3, 9)
