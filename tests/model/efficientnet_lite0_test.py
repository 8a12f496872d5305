"""Depthwise convolutions, features, frozen parts, and weights files."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from pic_jax.images import color, image_files, resizing
from pic_jax.model import efficientnet_lite0
from pic_jax.runtime import errors
from pic_jax.saved import backbone_weights
from tests import running

WEIGHTS = os.environ.get('EFFICIENTNET_LITE0', 'efficientnet_lite0.safetensors')


@pytest.mark.parametrize(
  'size,stride,shape', [(3, 1, (5, 7)), (3, 2, (6, 5)), (5, 2, (5, 8))]
)
def test_depthwise_and_its_gradients_equal_a_grouped_convolution(
  size, stride, shape
):
  x = jax.random.normal(jax.random.key(0), (2, *shape, 3))
  kernel = jax.random.normal(jax.random.key(1), (size, size, 1, 3))

  def grouped(x, kernel):
    return jax.lax.conv_general_dilated(
      x,
      kernel,
      (stride, stride),
      'SAME',
      dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
      feature_group_count=3,
    )

  def depthwise(x, kernel):
    return efficientnet_lite0.depthwise(x, kernel, stride)

  y = grouped(x, kernel)
  grad = jax.random.normal(jax.random.key(2), y.shape)

  @jax.jit
  def values_and_gradients(x, kernel):
    pairs = [jax.vjp(f, x, kernel) for f in (depthwise, grouped)]
    return [(y, *pullback(grad)) for y, pullback in pairs]

  for actual, expected in zip(*values_and_gradients(x, kernel), strict=True):
    np.testing.assert_allclose(actual, expected, atol=1e-4)


def write_random_weights(path) -> dict:
  """Writes a file of random weights and batch norms; returns its arrays."""
  rng = np.random.default_rng(0)
  shapes = jax.eval_shape(
    efficientnet_lite0.EfficientNetLite0().init,
    jax.random.key(0),
    jnp.zeros((1, 8, 8, 1)),
  )['params']
  arrays = {}
  for layer, conv, norm in backbone_weights.layer_names():
    shape = shapes[layer]['kernel'].shape
    fan_in = np.prod(shape[:3])
    weight = rng.normal(0, fan_in**-0.5, shape).transpose(3, 2, 0, 1)
    arrays[f'{conv}.weight'] = weight
    width = shape[-1]
    arrays[f'{norm}.weight'] = rng.uniform(0.5, 1.5, width)
    arrays[f'{norm}.bias'] = rng.normal(1, 0.5, width)
    arrays[f'{norm}.running_mean'] = rng.normal(0, 0.2, width)
    arrays[f'{norm}.running_var'] = rng.uniform(0.5, 2.0, width)
  arrays = {
    name: np.ascontiguousarray(x, np.float32) for name, x in arrays.items()
  }
  safetensors.numpy.save_file(arrays, path)
  return arrays


def reference(arrays: dict, grey: np.ndarray) -> list[np.ndarray]:
  """Computes the features of the published network, with its batch norms.

  Args:
    arrays: arrays of the weights file.
    grey: [B, H, W, 1] float32 in 0..255.
  """

  def conv(x, name, stride=1):
    kernel = arrays[f'{name}.weight'].transpose(2, 3, 1, 0)
    return jax.lax.conv_general_dilated(
      x,
      kernel,
      (stride, stride),
      'SAME',
      dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
      feature_group_count=x.shape[-1] // kernel.shape[2],
    )

  def norm(x, name):
    gain, shift, mean, variance = (
      arrays[f'{name}.{part}'].reshape(1, 1, 1, -1)
      for part in ('weight', 'bias', 'running_mean', 'running_var')
    )
    return (x - mean) / jnp.sqrt(variance + 1e-3) * gain + shift

  x = jnp.repeat((grey - 127.0) / 128.0, 3, -1)
  x = jnp.clip(norm(conv(x, '_conv_stem', 2), '_bn0'), 0, 6)
  # Strides of the 16 blocks (Tan & Le 2019, Table 1).
  strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1]
  features = []
  for index, stride in enumerate(strides):
    name, before = f'_blocks.{index}', x
    if f'{name}._expand_conv.weight' in arrays:
      x = jnp.clip(norm(conv(x, f'{name}._expand_conv'), f'{name}._bn0'), 0, 6)
    x = conv(x, f'{name}._depthwise_conv', stride)
    x = jnp.clip(norm(x, f'{name}._bn1'), 0, 6)
    x = norm(conv(x, f'{name}._project_conv'), f'{name}._bn2')
    if before.shape == x.shape:
      x = x + before
    features.append(x)
  head = jnp.clip(norm(conv(x, '_conv_head'), '_bn1'), 0, 6)
  return [features[index] for index in (0, 2, 4, 10, 15)] + [head]


@pytest.mark.slow
def test_features_equal_those_of_the_published_network(tmp_path):
  arrays = write_random_weights(tmp_path / 'random.safetensors')
  params = backbone_weights.load(tmp_path / 'random.safetensors')
  grey = np.random.default_rng(1).integers(0, 256, (2, 42, 38, 1))
  luminance = color.luminance_to_network(grey.astype(np.float32) / 2.55)
  features = jax.jit(efficientnet_lite0.EfficientNetLite0().apply)(
    {'params': params}, luminance
  )
  expected = jax.jit(reference)(arrays, grey.astype(np.float32))
  for actual, wanted in zip(features, expected, strict=True):
    scale = np.abs(wanted).max()
    assert scale > 0.1
    np.testing.assert_allclose(actual / scale, wanted / scale, atol=2e-5)


@pytest.mark.slow
def test_gradients_reach_only_parts_that_are_not_frozen(tmp_path):
  write_random_weights(tmp_path / 'random.safetensors')
  params = backbone_weights.load(tmp_path / 'random.safetensors')
  net = efficientnet_lite0.EfficientNetLite0(num_frozen=15)
  x = jax.random.normal(jax.random.key(0), (1, 8, 8, 1))

  @jax.jit
  def gradients(params):
    return jax.grad(
      lambda params: sum(jnp.sum(y) for y in net.apply({'params': params}, x))
    )(params)

  grads = gradients(params)
  reached = {name for name, grad in grads.items() if grad['bias'].any()}
  last_block = {
    f'block_15_{part}' for part in ('expand', 'depthwise', 'project')
  }
  assert reached == last_block | {'head'}
  # The number of the part to which each layer belongs, counted from 1.
  for part, name in ((1, 'stem'), (1, 'block_00_project'), (17, 'head')):
    assert efficientnet_lite0.is_frozen(name, part)
    assert not efficientnet_lite0.is_frozen(name, part - 1)


def test_missing_and_other_weights_files_are_refused(tmp_path):
  path = tmp_path / 'other.safetensors'
  with pytest.raises(errors.RunError, match='convert_efficientnet'):
    backbone_weights.load(path)
  safetensors.numpy.save_file({'x': np.zeros(3, np.float32)}, path)
  with pytest.raises(errors.RunError, match='not weights of Eff'):
    backbone_weights.load(path)


@pytest.mark.skipif(
  not os.path.exists(WEIGHTS),
  reason='EFFICIENTNET_LITE0 is not the path of a weights file',
)
def test_the_published_weights_recognise_a_grey_cat():
  """The classifier, which the network lacks, is applied to the features."""
  rgb = image_files.load_image(running.ROOT / 'photos' / 'chelsea.png')
  rgb = resizing.fit(rgb, 224, 'crop')
  luminance = color.luminance_to_network(
    color.eight_bit_luminance(color.rgb_to_lab(rgb[None])[..., :1])
  )
  head = jax.jit(efficientnet_lite0.EfficientNetLite0().apply)(
    {'params': backbone_weights.load(WEIGHTS)}, luminance
  )[-1]
  arrays = safetensors.numpy.load_file(WEIGHTS)
  kernel = arrays['_fc.weight'].astype(np.float32).T
  logits = head.mean((1, 2)) @ kernel + arrays['_fc.bias'][None]
  assert int(logits.argmax()) in range(281, 286)  # tabby to Egyptian cat
