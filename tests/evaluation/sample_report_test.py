"""The report on samples, compared with samples drawn and scored separately."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.metrics

from pic_jax.evaluation import (
  calibration,
  like_cells,
  metrics,
  sample_report,
  sample_scores,
)
from pic_jax.images import color, color_statistics
from pic_jax.model import logistic_mixture, parameters
from pic_jax.runtime import devices, errors
from pic_jax.sampling import sample, sheets
from pic_jax.saved import run_config
from tests import tiny

SIZE = 16
COUNT = 11
SCORES = [
  *(
    f'{name}{which}'
    for name in ('ab_rmse', 'psnr', 'ssim')
    for which in ('', '_best_of_8', '_mean_of_8')
  ),
  'pairwise_difference',
  'like_cells',
  'ab_variance',
  'energy_score',
  'energy_score_multiscale',
  'grey_energy_score',
  'grey_energy_score_multiscale',
  'sample_bits_per_dim',
  'typicality_gap',
  'pit_a',
  'pit_b',
  *(
    f'{which}{name}'
    for name in ('colourfulness', 'saturation')
    for which in ('', 'original_')
  ),
]
EMBEDDING_SCORES = [
  'embedding_energy_score',
  'embedding_energy_score_multiscale',
  'embedding_like_cells',
  'embedding_mode_colourfulness',
  'embedding_mode_saturation',
]


@pytest.fixture
def config(tmp_path):
  """Config of a tiny model for images that are larger than SSIM's window."""
  config = tiny.narrow_config('smoke', tmp_path)
  config.data.image_size = SIZE
  config.sampling.batch_size = 8
  return config


def random_params(config) -> dict:
  net = run_config.build_model(config)
  return tiny.trained_like(net, net.split_lab(tiny.images(4, SIZE, SIZE)))


def loosen_like_cells(monkeypatch):
  """Loosens the limits, because maps of 8 x 8 would have no pairs otherwise."""
  for name, value in (
    ('MIN_DISTANCE', 2.0),
    ('MIN_CORRELATION', 0.3),
    ('MAX_DIFFERENCE', 20.0),
  ):
    monkeypatch.setattr(like_cells, name, value)


@pytest.mark.parametrize('weight', [0.0, 1.0])
def test_all_scores_are_there_and_those_of_the_embedding_if_it_is_trained(
  config, weight
):
  config.model.embedding_loss_weight = weight
  params = parameters.shapes(run_config.build_model(config), SIZE)
  net = run_config.build_model(config)
  scores = jax.eval_shape(
    lambda params, rgb, keys: sample_report.score_samples(
      net, params, rgb, lab=net.split_lab(rgb), keys=keys
    ),
    params,
    jax.ShapeDtypeStruct((3, SIZE, SIZE, 3), jnp.uint8),
    jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 3)),
  )
  assert set(scores) == {*SCORES, *(EMBEDDING_SCORES if weight else ())}
  for name, score in scores.items():
    if name.startswith('pit'):
      assert score.shape == (3, 20), name
    else:
      assert score.shape == ((3, 2) if 'like' in name else (3,)), name


def test_images_smaller_than_the_window_of_ssim_are_refused(config):
  config.data.image_size = 10
  with pytest.raises(errors.UserError, match='at least 11.*got 10'):
    sample_report.check(config)


@pytest.mark.slow
def test_report_agrees_with_pictures_drawn_by_the_sampler(config, monkeypatch):
  loosen_like_cells(monkeypatch)
  params, rgb = random_params(config), tiny.images(COUNT, SIZE, SIZE)
  replicated = devices.replicate(params)
  report = sample_report.measure(config, replicated, rgb, num_images=-1)
  assert report['num_sampled_images'] == COUNT and report['num_samples'] == 8
  for name in [*SCORES, *EMBEDDING_SCORES]:
    for key in (name, f'{name}_stderr'):
      assert np.isfinite(report[key]).all(), key

  net = run_config.build_model(config)
  config.sampling.num_samples = 8
  # Each row has the grey image, 8 samples and the original.
  rows = sheets.draw_rows(
    net, replicated, rgb, indices=range(COUNT), sampling=config.sampling
  )
  ssim = np.array(
    [
      [
        skimage.metrics.structural_similarity(
          picture,
          original,
          gaussian_weights=True,
          sigma=1.5,
          use_sample_covariance=False,
          data_range=255,
          channel_axis=-1,
        )
        for picture in row[1:9]
      ]
      for row, original in zip(rows, rgb, strict=True)
    ]
  )
  psnr = np.array(
    [
      [
        skimage.metrics.peak_signal_noise_ratio(original, picture)
        for picture in row[1:9]
      ]
      for row, original in zip(rows, rgb, strict=True)
    ]
  )
  for name, values in (
    ('ssim', ssim[:, 0]),
    ('ssim_best_of_8', ssim.max(1)),
    ('psnr', psnr[:, 0]),
    ('psnr_best_of_8', psnr.max(1)),
    ('colourfulness', color_statistics.colourfulness(rows[:, 1])),
    ('saturation', color_statistics.saturation(color.rgb_to_lab(rows[:, 1]))),
    ('original_colourfulness', color_statistics.colourfulness(rgb)),
  ):
    np.testing.assert_allclose(report[name], np.mean(values), rtol=1e-4)
    np.testing.assert_allclose(
      report[f'{name}_stderr'],
      np.std(values, ddof=1) / np.sqrt(COUNT),
      rtol=1e-3,
    )
  for name in ('pit_a', 'pit_b'):
    np.testing.assert_allclose(np.sum(report[name]), 1.0, rtol=1e-6)
  text = sample_report.to_text(report)
  for name in ('energy_score', 'typicality_gap', 'embedding_mode_saturation'):
    assert f'{report[name]:.3f} +- {report[f"{name}_stderr"]:.3f}' in text


@pytest.mark.slow
def test_report_agrees_with_chroma_scored_again(config, monkeypatch):
  loosen_like_cells(monkeypatch)
  params, rgb = random_params(config), tiny.images(COUNT, SIZE, SIZE)
  net = run_config.build_model(config)
  lab = net.split_lab(rgb)
  keys = sample.image_keys(config.sampling.seed, np.arange(COUNT))
  chroma = sample.sample_chroma(net, params, lab.luminance, keys, 8)

  def bits(chroma: jax.Array) -> np.ndarray:
    theta, _ = net.apply({'params': params}, lab.luminance, chroma)
    return logistic_mixture.bits_per_dim(
      logistic_mixture.log_prob(theta, lab.luminance_small, chroma)
    )

  sample_bits = np.mean([bits(chroma[:, index]) for index in range(8)], 0)
  samples = np.asarray(color.chroma_from_network(chroma), np.float64)
  target = np.asarray(color.chroma_from_network(lab.chroma), np.float64)
  rmse = ((samples - target[:, None]) ** 2).sum(-1).mean((2, 3)) ** 0.5
  rmse_of_mean = ((samples.mean(1) - target) ** 2).sum(-1).mean((1, 2)) ** 0.5
  theta, embedding = net.apply({'params': params}, lab.luminance, lab.chroma)
  independent = color.chroma_from_network(
    sample.sample_independently(
      embedding[..., : net.num_outputs],
      lab.luminance_small,
      keys=keys,
      num_samples=8,
      temperature=1.0,
    )
  )
  replicated = devices.replicate(params)
  report = sample_report.measure(config, replicated, rgb, num_images=-1)
  for prefix, drawn in (('', samples), ('embedding_', independent)):
    excess = like_cells.excess(lab.luminance_small, target, drawn)
    expected = like_cells.mean_excess(np.asarray(excess), f'{prefix}like_cells')
    assert expected[f'{prefix}like_cells_pairs'] > COUNT
    for key, value in expected.items():
      np.testing.assert_allclose(report[key], value, rtol=1e-3)
  for name, values in (
    ('energy_score', metrics.energy_score(samples, target)),
    ('embedding_energy_score', metrics.energy_score(independent, target)),
    (
      'energy_score_multiscale',
      metrics.energy_score_multiscale(samples, target),
    ),
    ('sample_bits_per_dim', sample_bits),
    ('typicality_gap', sample_bits - bits(lab.chroma)),
    ('ab_rmse', rmse[:, 0]),
    ('ab_rmse_best_of_8', rmse.min(1)),
    ('ab_rmse_mean_of_8', rmse_of_mean),
    ('grey_energy_score', (target**2).sum(-1).mean((1, 2)) ** 0.5),
    ('ab_variance', samples.var(1, ddof=1).mean((1, 2, 3))),
  ):
    np.testing.assert_allclose(report[name], np.mean(values), rtol=1e-4)
  noise = jax.vmap(
    lambda key: jax.random.uniform(
      jax.random.fold_in(key, sample_scores.CALIBRATION_STREAM),
      lab.chroma.shape[1:],
    )
  )(keys)
  transformed = calibration.transform(
    theta, lab.luminance_small, lab.chroma, noise=noise
  )
  for channel, name in enumerate(('pit_a', 'pit_b')):
    histogram = calibration.histogram(transformed[..., channel]).mean(0)
    np.testing.assert_allclose(report[name], histogram, atol=1e-3)
  assert np.abs(np.subtract(report['pit_a'], report['pit_b'])).max() > 2e-3


@pytest.mark.slow
def test_samples_at_temperature_zero_have_no_diversity(config, monkeypatch):
  monkeypatch.setattr(sample_report, 'TEMPERATURE', 0.0)
  replicated = devices.replicate(random_params(config))
  rgb = tiny.images(3, SIZE, SIZE)
  report = sample_report.measure(config, replicated, rgb, num_images=-1)
  assert report['pairwise_difference'] == report['ab_variance'] == 0
  for name in ('ab_rmse', 'psnr', 'ssim'):
    for which in ('best', 'mean'):
      np.testing.assert_allclose(
        report[name], report[f'{name}_{which}_of_8'], rtol=1e-5
      )
  np.testing.assert_allclose(
    report['energy_score'], report['ab_rmse'], rtol=1e-6
  )
