"""Winograd's convolutions against plain ones in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pic_jax.model import layers, winograd

SAME = ((1, 1), (1, 1))
CAUSAL = ((2, 0), (2, 0))
# Batch, height, width, channels in and out, padding, dilation.
SHAPES = [
  (2, 7, 5, 3, 4, SAME, 1),
  (1, 1, 9, 5, 2, ((2, 0), (1, 1)), 1),
  (3, 4, 11, 2, 7, CAUSAL, 1),
  (1, 13, 3, 4, 3, ((0, 0), (0, 0)), 1),
  (2, 10, 7, 3, 5, ((2, 2), (2, 2)), 2),
  (1, 5, 17, 24, 9, ((0, 3), (1, 2)), 2),
  (2, 16, 16, 96, 48, CAUSAL, 1),
]


def _plain(x, kernel, padding, dilation):
  """Computes a convolution in float64, as a sum of shifted products.

  Returns:
    The output, the shifted windows of the input, and the shifts.
  """
  x = np.pad(np.float64(x), ((0, 0), *padding, (0, 0)))
  height, width = (side - 2 * dilation for side in x.shape[1:3])
  shifts = [(i, j) for i in range(3) for j in range(3)]
  windows = [
    x[:, i * dilation :, j * dilation :][:, :height, :width] for i, j in shifts
  ]
  y = sum(
    window @ np.float64(kernel[i, j])
    for window, (i, j) in zip(windows, shifts, strict=True)
  )
  return y, windows, shifts


def _gradients(x, kernel, padding, dilation, dy):
  """Computes the gradients of sum(y * dy) for x and the kernel, in float64."""
  _, windows, shifts = _plain(x, kernel, padding, dilation)
  d_padded = np.pad(np.zeros(x.shape), ((0, 0), *padding, (0, 0)))
  d_kernel = np.zeros(kernel.shape)
  height, width = dy.shape[1:3]
  for window, (i, j) in zip(windows, shifts, strict=True):
    d_kernel[i, j] = np.einsum('bhwc,bhwf->cf', window, dy)
    d_window = d_padded[:, i * dilation :, j * dilation :][:, :height, :width]
    d_window += dy @ np.float64(kernel[i, j]).T
  (above, _), (left, _) = padding
  d_x = d_padded[:, above:, left:][:, : x.shape[1], : x.shape[2]]
  return d_x, d_kernel


def _relative_error(actual, expected):
  return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize('shape', SHAPES)
def test_values_and_gradients_equal_the_plain_convolution(shape):
  batch, height, width, channels, features, padding, dilation = shape
  rng = np.random.default_rng(0)
  x = rng.standard_normal((batch, height, width, channels), np.float32)
  kernel = rng.standard_normal((3, 3, channels, features), np.float32)
  sides = winograd.Sides(*padding, dilation)
  expected = _plain(x, kernel, padding, dilation)[0]
  dy = rng.standard_normal(expected.shape, np.float32)

  @jax.jit
  def run(x, kernel, dy):
    def convolve(x, kernel):
      return winograd.convolve(x, kernel, sides)

    y, gradients_fn = jax.vjp(convolve, x, kernel)
    return convolve(x, kernel), y, *gradients_fn(dy)

  actual = run(x, kernel, dy)
  gradients = _gradients(x, kernel, padding, dilation, dy)
  references = expected, expected, *gradients
  for array, reference in zip(actual, references, strict=True):
    assert array.shape == reference.shape
    assert _relative_error(array, reference) < 2e-6
    error = np.abs(array - reference).max()
    assert error < 4e-6 * np.abs(reference).max()


def _is_used(
  x_shape=(16, 16, 16, 96),
  kernel_shape=(3, 3, 96, 48),
  padding='SAME',
  stride=1,
  dilation=1,
  dtype=jnp.float32,
):
  x = jax.ShapeDtypeStruct(x_shape, dtype)
  kernel = jax.ShapeDtypeStruct(kernel_shape, dtype)
  with winograd.allowed():
    return winograd.should_use(
      x, kernel, padding, stride=stride, dilation=dilation
    )


def test_winograd_is_used_where_it_is_faster():
  assert _is_used()
  assert _is_used(padding=CAUSAL)
  assert _is_used(dilation=2)
  # Too few channels; too few positions.
  assert not _is_used(x_shape=(16, 16, 16, 64), kernel_shape=(3, 3, 64, 64))
  assert not _is_used(x_shape=(1, 16, 16, 96))
  # One output row fills a quarter of a tile; five rows fill 5/8 of two tiles.
  assert not _is_used(x_shape=(256, 1, 16, 96))
  assert not _is_used(x_shape=(256, 5, 16, 96))
  assert not _is_used(kernel_shape=(2, 3, 96, 48))
  assert not _is_used(stride=2)
  assert not _is_used(padding=((3, 0), (1, 1)))
  assert not _is_used(dtype=jnp.bfloat16)


def test_winograd_is_used_only_where_allowed_and_never_on_gpu(monkeypatch):
  x = jax.ShapeDtypeStruct((16, 16, 16, 96), jnp.float32)
  kernel = jax.ShapeDtypeStruct((3, 3, 96, 48), jnp.float32)
  assert not winograd.should_use(x, kernel, 'SAME', stride=1, dilation=1)
  with winograd.allowed():
    assert winograd.should_use(x, kernel, 'SAME', stride=1, dilation=1)
    monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
    assert not winograd.should_use(x, kernel, 'SAME', stride=1, dilation=1)
  assert not winograd.should_use(x, kernel, 'SAME', stride=1, dilation=1)


def test_layers_convolve_uses_winograd_where_allowed():
  rng = np.random.default_rng(1)
  x = rng.standard_normal((8, 16, 16, 96), np.float32)
  kernel = rng.standard_normal((3, 3, 96, 48), np.float32)

  def program(is_allowed):
    def convolve(x, kernel):
      if not is_allowed:
        return layers.convolve(x, kernel, CAUSAL)
      with winograd.allowed():
        return layers.convolve(x, kernel, CAUSAL)

    return jax.jit(convolve)

  plain, with_winograd = program(False), program(True)
  counts = [
    fn.lower(x, kernel).as_text().count('stablehlo.convolution')
    for fn in (plain, with_winograd)
  ]
  assert counts == [1, winograd.WINDOW]
  expected = np.asarray(plain(x, kernel))
  assert _relative_error(with_winograd(x, kernel), expected) < 2e-6
