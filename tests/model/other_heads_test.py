"""Heads without a decoder: losses, estimates, and training runs."""

import json

import jax
import numpy as np
import pytest

from pic_jax.evaluation import likelihood, sample_report
from pic_jax.images import color
from pic_jax.model import (
  classification_head,
  logistic_mixture,
  regression_head,
)
from pic_jax.runtime import devices
from pic_jax.sampling import conditions, sample
from pic_jax.saved import run_config, trained_model
from pic_jax.training import colour_frequencies, loop
from tests import tiny


def test_bins_cover_srgb_colours():
  bins = classification_head.bins()
  assert (bins % 10 == 0).all() and len(np.unique(bins, axis=0)) == len(bins)
  primaries = np.array(
    [[255, 0, 0], [0, 255, 0], [0, 0, 255], [90, 90, 90]], np.uint8
  )
  chroma = np.asarray(color.rgb_to_lab(primaries))[:, 1:]
  distances = np.abs(chroma[:, None] - bins).max(-1).min(-1)
  assert (distances <= 5.0).all()
  assert not ((bins == [100, -110]).all(-1)).any()  # not an sRGB colour


def test_soft_targets_are_a_gaussian_over_the_five_nearest_bins():
  chroma = np.array([[3.1, -12.4], [41.0, 27.3]], np.float32)
  targets = np.asarray(classification_head.soft_targets(chroma))
  for row, point in zip(targets, chroma, strict=True):
    squared = ((classification_head.bins() - point) ** 2).sum(-1)
    nearest = np.argsort(squared)[:5]
    expected = np.zeros(len(squared))
    expected[nearest] = np.exp(-squared[nearest] / 50.0)
    np.testing.assert_allclose(row, expected / expected.sum(), atol=1e-6)


def test_class_weights_equal_the_formula():
  bins = classification_head.bins().astype(np.float64)
  counts = np.random.default_rng(0).integers(0, 1000, len(bins)).astype(float)
  counts[::3] = 0
  smooth = np.zeros(len(bins))
  # The pixels of each bin are spread over its neighbours.
  for i, source in enumerate(bins):
    kernel = np.exp(-((bins - source) ** 2).sum(-1) / 50.0)
    smooth += counts[i] / counts.sum() * kernel / kernel.sum()
  expected = 1 / (0.7 * smooth + 0.3 / len(bins))
  expected /= sum(p * w for p, w in zip(smooth, expected, strict=True))
  weights = classification_head.class_weights(counts, 0.3)
  np.testing.assert_allclose(weights, expected, rtol=1e-5)
  np.testing.assert_allclose(smooth @ weights, 1.0, rtol=1e-5)


def test_rare_colours_weigh_more():
  counts = np.zeros(len(classification_head.bins()))
  grey = np.flatnonzero((classification_head.bins() == 0).all(-1))
  counts[grey] = 1000.0
  weights = classification_head.class_weights(counts, 0.5)
  distances = np.linalg.norm(classification_head.bins(), axis=-1)
  by_distance = np.argsort(distances, kind='stable')
  assert weights.argmin() == grey[0]
  assert weights[by_distance[-1]] == weights.max()
  # The weights are proportional to 2 / (p + 1 / Q). Far from grey, p is 0. At
  # grey, p is 0.6 after smoothing.
  assert weights.max() / weights.min() > 20
  unweighted = classification_head.class_weights(counts, 1.0)
  np.testing.assert_allclose(unweighted, 1.0, rtol=1e-6)


def test_cross_entropy_is_smallest_for_the_targets_and_is_weighted():
  chroma = np.array([[20.0, 30.0], [-10.0, 0.0]], np.float32)
  targets = classification_head.soft_targets(chroma)
  best = np.log(np.maximum(targets, 1e-30))
  entropy = -np.sum(np.asarray(targets * best), -1)
  chroma = color.chroma_to_network(chroma)
  np.testing.assert_allclose(
    classification_head.loss(best, chroma), entropy, rtol=1e-5
  )
  other = best + np.random.default_rng(0).normal(0, 1, best.shape)
  assert (classification_head.loss(other, chroma) > entropy).all()
  weights = np.ones(len(classification_head.bins()), np.float32)
  weights[(classification_head.bins() == [20, 30]).all(-1)] = 3.0
  np.testing.assert_allclose(
    classification_head.loss(best, chroma, weights), entropy * [3, 1], rtol=1e-5
  )


def test_annealed_mean_and_median_equal_their_formulas_for_two_colours():
  """The histogram has 3/4 at (0, 0) and 1/4 at (40, 20)."""
  bins = classification_head.bins()
  theta = np.full(len(bins), -30.0, np.float32)
  theta[(bins == 0).all(-1)] = np.log(0.75)
  theta[(bins == [40, 20]).all(-1)] = np.log(0.25)
  share = 0.25 ** (1 / 0.38) / (0.25 ** (1 / 0.38) + 0.75 ** (1 / 0.38))
  np.testing.assert_allclose(
    classification_head.annealed_mean(theta),
    [40 * share, 20 * share],
    rtol=1e-4,
  )
  # In each channel, half of the probability lies below two thirds of the bin
  # from -5 to 5.
  np.testing.assert_allclose(
    classification_head.median(theta), [5 / 3, 5 / 3], rtol=1e-4
  )


def test_class_weights_come_from_the_colours_of_the_images():
  net = tiny.net(
    head='classification', embedding_features=260, embedding_loss_weight=0.0
  )
  red = np.zeros((3, 8, 8, 3), np.uint8)
  red[..., 0] = 255
  weights = colour_frequencies.class_weights(net, red)
  chroma = np.asarray(color.rgb_to_lab(red[0, 0, 0]))[1:]
  nearest = ((classification_head.bins() - chroma) ** 2).sum(-1).argmin()
  # Smoothing spreads red over a few bins, so its weight is near the smallest.
  assert weights[nearest] < 1.2 * weights.min() < weights.max() / 10
  assert colour_frequencies.class_weights(tiny.net(), red) is None


def test_regression_loss_is_the_squared_error_of_the_estimate():
  rng = np.random.default_rng(0)
  theta, chroma = rng.integers(-50, 50, (2, 5, 2)).astype(np.float32)
  theta /= regression_head.SCALE
  estimate = color.chroma_from_network(regression_head.estimate(theta, None))
  np.testing.assert_allclose(
    regression_head.loss(theta, color.chroma_to_network(chroma)),
    np.square(estimate - chroma).sum(-1) / regression_head.SCALE**2,
    rtol=1e-5,
  )


def train(head, folder, workdir, **changes):
  """Trains a narrow model for 30 steps; `changes` apply to `config.training`.

  Returns:
    The config, and for each record of metrics.jsonl the loss or None.
  """
  config = tiny.narrow_config(f'cifar10_{head}', folder)
  config.training.num_steps = 30
  config.training.checkpoint_every_steps = 30
  config.training.log_every_steps = 30
  config.optimizer.learning_rate = 1e-2
  config.model.dropout_rate = 0.0
  for name, value in changes.items():
    config.training[name] = value
  loop.train_and_evaluate(config, str(workdir))
  records = (workdir / 'metrics.jsonl').read_text().splitlines()
  return config, [json.loads(line).get('loss') for line in records]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """Writes a folder of 24 small images."""
  path = tmp_path_factory.mktemp('images')
  tiny.write_folder(path, 24)
  return path


@pytest.mark.slow
@pytest.mark.parametrize('head', ['regression', 'classification'])
def test_a_head_without_a_likelihood_learns_and_gives_one_colour(
  head, folder, tmp_path
):
  config, losses = train(head, folder, tmp_path)
  losses = [x for x in losses if x is not None]
  assert losses[-1] < 0.9 * losses[0]
  params, _, _ = trained_model.load_trained(str(tmp_path))
  assert set(params) == {'embedding'}
  net = run_config.build_model(config)
  size = config.data.image_size
  rgb = tiny.images(3, size, size)
  lab = net.split_lab(rgb)
  keys = jax.random.split(jax.random.key(0), 3)
  chroma = sample.sample_chroma(net, params, lab.luminance, keys, 2)
  np.testing.assert_array_equal(chroma[:, 0], chroma[:, 1])
  integers = color.chroma_from_network(chroma)
  np.testing.assert_allclose(integers, np.round(integers), atol=1e-4)
  theta, _ = net.apply({'params': params}, lab.luminance, lab.chroma)
  report = likelihood.evaluate(
    config, devices.replicate(params), rgb, num_images=-1
  )
  assert 'bits_per_dim' not in report
  np.testing.assert_allclose(
    report['loss'], net.build_head().loss(theta, lab.chroma).mean(), rtol=1e-4
  )
  with config.unlocked():
    config.data.image_size = 12  # SSIM needs 11 pixels
  metrics = sample_report.measure(
    config, devices.replicate(params), tiny.images(3, 12, 12), num_images=-1
  )
  assert metrics['pairwise_difference'] == metrics['ab_variance'] == 0
  assert metrics['ab_rmse'] == metrics['ab_rmse_best_of_8'] > 0
  assert metrics['energy_score'] > 0
  assert 'typicality_gap' not in metrics and 'pit_a' not in metrics
  text = sample_report.to_text(metrics)
  assert 'ab error' in text and 'PIT' not in text


@pytest.mark.slow
def test_a_model_without_decoder_starts_from_the_embedding_of_a_pic(
  folder, tmp_path, capsys
):
  pic_config = tiny.narrow_config('cifar10', folder)
  pic_config.training.num_steps = 1
  loop.train_and_evaluate(pic_config, str(tmp_path / 'pic'))
  pic_params, _, _ = trained_model.load_trained(str(tmp_path / 'pic'))
  config, _ = train(
    'embedding',
    folder,
    tmp_path / 'alone',
    init_from=str(tmp_path / 'pic'),
    num_steps=2,
  )
  assert "network 'decoder' of" in capsys.readouterr().err
  net = run_config.build_model(config)
  size = config.data.image_size
  rgb = tiny.images(5, size, size)
  lab = net.split_lab(rgb)
  # The first channels of the PIC's embedding, used as theta without training.
  alone = likelihood.evaluate(
    config,
    devices.replicate({'embedding': pic_params['embedding']}),
    rgb,
    num_images=-1,
  )
  of_pic = likelihood.evaluate(
    pic_config, devices.replicate(pic_params), rgb, num_images=-1
  )
  np.testing.assert_allclose(
    alone['bits_per_dim'], of_pic['embedding_bits_per_dim'], rtol=1e-6
  )
  assert 'embedding_bits_per_dim' not in alone
  # The samples of an image differ, and have the reported log-probabilities.
  params, _, _ = trained_model.load_trained(str(tmp_path / 'alone'))
  keys = jax.random.split(jax.random.key(0), 5)
  spec = conditions.SamplingSpec(2)
  chroma, log_prob, _ = sample.draw(
    net, params, lab.luminance, keys=keys, spec=spec
  )
  assert (np.asarray(chroma[:, 0]) != np.asarray(chroma[:, 1])).any()
  theta, _ = net.apply({'params': params}, lab.luminance, lab.chroma)
  expected = logistic_mixture.log_prob(theta, lab.luminance_small, chroma[:, 1])
  np.testing.assert_allclose(
    log_prob[:, 1],
    expected,
    rtol=1e-4,
    atol=1e-4,
  )
