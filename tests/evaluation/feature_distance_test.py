"""The feature distance, compared with a loop, for equal and different sets."""

import jax
import numpy as np
import pytest

from pic_jax.data import input_pipeline
from pic_jax.evaluation import feature_distance
from pic_jax.model import efficientnet_lite0
from pic_jax.runtime import devices, errors
from pic_jax.saved import trained_model
from tests import tiny


def loop_distance(x, y):
  """The estimator of Binkowski et al. 2018, eq. (4), pair by pair."""
  scale = [np.std(y[:, i]) + 1e-6 for i in range(y.shape[1])]

  def kernel(a, b):
    total = 0.0
    for i in range(len(a)):
      mean = np.mean(y[:, i])
      total += (a[i] - mean) / scale[i] * ((b[i] - mean) / scale[i])
    return (total / len(a) + 1.0) ** 3

  def within(z):
    pairs = [(i, j) for i in range(len(z)) for j in range(len(z)) if i != j]
    return np.mean([kernel(z[i], z[j]) for i, j in pairs])

  cross = np.mean([kernel(a, b) for a in x for b in y])
  return 100.0 * (within(x) + within(y) - 2.0 * cross)


def test_distance_agrees_with_a_loop():
  rng = np.random.default_rng(0)
  x, y = rng.normal(0.5, 2, (5, 3)), rng.normal(0, 1, (7, 3))
  expected = loop_distance(x, y)
  assert abs(feature_distance.distance(x, y) - expected) < 1e-9 * abs(expected)


def test_distance_is_0_on_average_without_a_shift_and_grows_with_a_shift():
  rng = np.random.default_rng(1)
  distances = {0.0: [], 0.5: []}  # keyed by shift
  for shift, values in distances.items():
    for _ in range(40):
      x, y = rng.normal(shift, 1, (60, 8)), rng.normal(0, 1, (80, 8))
      values.append(feature_distance.distance(x, y))
  unshifted = np.array(distances[0.0])
  stderr = unshifted.std() / np.sqrt(len(unshifted))
  assert abs(unshifted.mean()) < 3 * stderr
  assert min(distances[0.5]) > max(distances[0.0])


def backbone_params(seed=0):
  net = efficientnet_lite0.EfficientNetLite0()
  grey = np.zeros((1, 32, 32, 1), np.float32)
  params = jax.jit(net.init)(jax.random.key(seed), grey)['params']
  return {'embedding': {'backbone': {'efficientnet_lite0': params}}}


@pytest.mark.slow
def test_features_depend_on_colour_and_agree_with_the_backbone_for_grey():
  params = backbone_params()
  rgb = tiny.images(6, 32, 32)
  grey = rgb[..., :1].repeat(3, -1)
  found = feature_distance.features_of_all(params, [*rgb, *grey], 5)
  assert found['head'].shape == (12, 1280)
  assert (found['taps'][:6] != found['taps'][6:]).any(1).all()
  net = efficientnet_lite0.EfficientNetLite0()
  maps = net.apply(
    {'params': params['embedding']['backbone']['efficientnet_lite0']},
    rgb[..., :1].astype(np.float32) / 127.5 - 1.0,
  )
  np.testing.assert_allclose(
    found['head'][6:], maps[-1].mean((1, 2)), rtol=1e-4, atol=1e-5
  )


@pytest.mark.slow
def test_the_floor_of_a_model_is_between_originals_and_grey(
  tmp_path, monkeypatch
):
  monkeypatch.setattr(feature_distance, 'NUM_REFERENCE', 20)
  params, config, _ = trained_model.load_trained('photos')
  rgb = np.concatenate([tiny.images(12, 128, 128, seed) for seed in (0, 1, 2)])
  np.save(tmp_path / 'images.npy', rgb)
  config.data.data_dir = str(tmp_path)
  config.data.mixture = ()
  config.data.train_split = 'images[12:]'
  config.data.test_split = 'images[:12]'
  config.sampling.batch_size = 8
  source = input_pipeline.open_test(config)
  report = feature_distance.measure(
    config, devices.replicate(params), source, num_images=-1
  )
  taps = {
    name: report[f'{name}_distance_taps'] for name in feature_distance.SETS
  }
  assert taps['grey'] > taps['floor'] > taps['originals']
  assert report['num_feature_images'] == 12
  assert '12 images' in feature_distance.to_text(report)
  config.model.backbone = 'none'
  with pytest.raises(errors.UserError, match='backbone'):
    feature_distance.check(config)
