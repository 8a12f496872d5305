"""Figures of the paper: what stands where, and which images are picked."""

import jax
import numpy as np
import pytest
from PIL import Image

from pic_jax.evaluation import figure_inputs, figures, likelihood
from pic_jax.runtime import devices, errors
from pic_jax.sampling import grids, pictures, sample
from pic_jax.saved import run_config
from tests import tiny


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  """Parameters and config of a tiny model on a folder of 21 images."""
  folder = tmp_path_factory.mktemp('pictures')
  tiny.write_folder(folder, 21)
  config = tiny.narrow_config('smoke', folder)
  config.data.test_split = 'train[:21]'
  config.sampling.num_samples = 3
  net = run_config.build_model(config)
  size = config.data.image_size
  batch = net.split_lab(tiny.images(4, size, size))
  return tiny.trained_like(net, batch), config


@pytest.fixture(scope='module')
def looks(trained):
  params, config = trained
  rgb = tiny.images(11, config.data.image_size, config.data.image_size)
  found = figure_inputs.Study(config)(
    devices.replicate(params), rgb, range(2, 11)
  )
  return rgb, list(found)


@pytest.mark.slow
def test_a_look_agrees_with_sampler_and_evaluation(trained, looks):
  params, config = trained
  rgb, found = looks
  assert [look['index'] for look in found] == list(range(2, 11))
  replicated = devices.replicate(params)
  net = run_config.build_model(config)
  rows = grids.Sampler(net, 3, 1.0, 'cached')(
    replicated, rgb[2:], config.sampling.seed, np.arange(2, 11)
  )
  report = likelihood.Evaluator(config)(replicated, rgb[2:], -1)
  for look, row in zip(found, rows, strict=True):
    np.testing.assert_array_equal(look['grey'], row[0])
    np.testing.assert_array_equal(look['samples'], row[1:4])
    np.testing.assert_array_equal(look['original'], row[4])
  np.testing.assert_allclose(
    np.mean([look['bits_per_dim'] for look in found]),
    report['bits_per_dim'],
    rtol=1e-5,
  )
  lab = net.split_lab(rgb[2:3])
  key = jax.random.fold_in(jax.random.key(config.sampling.seed), 2)
  chroma = sample.sample_chroma(net, params, lab.luminance, key[None], 1)
  np.testing.assert_array_equal(  # L = 50 is 0 in network units
    found[0]['flat_sample'],
    pictures.to_rgb(net, np.zeros_like(lab.luminance), chroma)[0, 0],
  )
  for look in found:
    independent = look['embedding_samples']
    assert independent.shape == look['samples'].shape
    assert (independent[0] != independent[1]).any()
    assert look['difference'] > 0


@pytest.mark.slow
def test_the_mode_of_the_embedding_is_its_picture_at_temperature_zero(
  trained, looks
):
  params, config = trained
  rgb, found = looks
  net = run_config.build_model(config)
  lab = net.split_lab(rgb[2:])
  embedding = net.build_embedding().apply(
    {'params': params['embedding']}, lab.luminance
  )
  noise = np.zeros((*lab.luminance_small.shape[:3], net.num_components + 2))
  chroma = figures.study.logistic_mixture.sample(
    embedding[..., : net.num_outputs], lab.luminance_small, noise, 0.0
  )
  expected = pictures.to_rgb(net, lab.luminance, chroma[:, None])[:, 0]
  for look, picture in zip(found, expected, strict=True):
    np.testing.assert_array_equal(look['embedding_mode'], picture)


def fake(index: int, bits: float, difference: float) -> dict:
  """A look whose pictures are all of one level."""

  def picture(level):
    return np.full((2, 2, 3), level, np.uint8)

  return {
    'index': index,
    'bits_per_dim': bits,
    'difference': difference,
    'grey': picture(index),
    'original': picture(100 + index),
    'samples': np.stack([picture(50 + index)] * 2),
  }


def test_diversity_and_failures_pick_extremes():
  bits = [3, 9, 1, 8, 5]
  difference = [4, 9, 2, 1, 3]
  found = [fake(*args) for args in zip(range(5), bits, difference, strict=True)]

  def picked(figure):
    rows = figures.FIGURES[figure](found, 4)
    assert rows.shape == (4, 4, 2, 2, 3)
    assert (rows[:, 3, 0, 0, 0] == 100 + rows[:, 0, 0, 0, 0]).all()
    return rows[:, 0, 0, 0, 0].tolist()

  assert picked('diversity') == [1, 0, 2, 3]  # from most to least
  assert picked('failures') == [1, 3, 0, 4]  # by bits; of the rest, by samples
  assert figures.grid(found, 2).shape == (2, 3, 2, 2, 3)


@pytest.mark.slow
def test_every_figure_is_written(trained, tmp_path):
  path = tmp_path / 'figure.png'
  drawings = figures.drawings(*trained)
  assert drawings.keys() == figures.FIGURES.keys()
  for draw in drawings.values():
    draw(path)
    with Image.open(path) as image:
      assert image.size[1] > 64 and image.size[0] > 100
    path.unlink()


def test_a_figure_that_cannot_be_shown_says_why(trained, tmp_path):
  params, config = trained
  config = config.copy_and_resolve_references()
  with config.unlocked():
    config.model.embedding_loss_weight = 0.0
  drawings = figures.drawings(params, config)
  for name in ('pixelwise', 'ablation'):
    with pytest.raises(errors.UserError, match='embedding_loss'):
      drawings[name](tmp_path / 'figure.png')
