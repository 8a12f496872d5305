"""Figures of the paper: their columns, and the images that they show."""

import pathlib

import jax
import numpy as np
import pytest
from PIL import Image

from pic_jax.evaluation import figure_inputs, figures, likelihood
from pic_jax.images import image_files
from pic_jax.model import levels, logistic_mixture
from pic_jax.runtime import devices, errors
from pic_jax.sampling import pictures, sample, sheets
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
def inputs(trained):
  """Returns eleven images, and the inputs of images 2 to 10."""
  params, config = trained
  rgb = tiny.images(11, config.data.image_size, config.data.image_size)
  found = figure_inputs.draw_and_score(
    config, devices.replicate(params), rgb, indices=range(2, 11)
  )
  return rgb, list(found)


@pytest.mark.slow
def test_inputs_agree_with_sheets_and_evaluation(trained, inputs):
  params, config = trained
  rgb, found = inputs
  assert [image['index'] for image in found] == list(range(2, 11))
  replicated = devices.replicate(params)
  net = run_config.build_model(config)
  rows = sheets.draw_rows(
    net, replicated, rgb[2:], indices=range(2, 11), sampling=config.sampling
  )
  report = likelihood.evaluate(config, replicated, rgb[2:], num_images=-1)
  for image, row in zip(found, rows, strict=True):
    np.testing.assert_array_equal(image['grey'], row[0])
    np.testing.assert_array_equal(image['samples'], row[1:4])
    np.testing.assert_array_equal(image['original'], row[4])
  np.testing.assert_allclose(
    np.mean([image['bits_per_dim'] for image in found]),
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
  for image in found:
    independent = image['embedding_samples']
    assert independent.shape == image['samples'].shape
    assert (independent[0] != independent[1]).any()
    assert image['difference'] > 0


@pytest.mark.slow
def test_the_mode_of_the_embedding_is_its_sample_at_temperature_zero(
  trained, inputs
):
  params, config = trained
  rgb, actual = inputs
  net = run_config.build_model(config)
  lab = net.split_lab(rgb[2:])
  embedding = net.build_embedding().apply(
    {'params': params['embedding']}, lab.luminance
  )
  noise = np.zeros((*lab.luminance_small.shape[:3], net.num_components + 2))
  chroma = logistic_mixture.sample(
    embedding[..., : net.num_outputs], lab.luminance_small, noise, 0.0
  )
  expected = pictures.to_rgb(net, lab.luminance, chroma[:, None])[:, 0]
  for image, picture in zip(actual, expected, strict=True):
    np.testing.assert_array_equal(image['embedding_mode'], picture)


def fake_inputs(index: int, bits: float, difference: float) -> dict:
  """Returns inputs of an image; each picture has one value in all pixels."""

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


def test_figures_diversity_and_failures_show_extreme_images():
  bits = [3, 9, 1, 8, 5]
  difference = [4, 9, 2, 1, 3]
  found = [
    fake_inputs(*args) for args in zip(range(5), bits, difference, strict=True)
  ]

  def picked(figure):
    rows = figures.FIGURES[figure](found, 4)
    assert rows.shape == (4, 4, 2, 2, 3)
    assert (rows[:, 3, 0, 0, 0] == 100 + rows[:, 0, 0, 0, 0]).all()
    return rows[:, 0, 0, 0, 0].tolist()

  assert picked('diversity') == [1, 0, 2, 3]  # most diverse, then least
  assert picked('failures') == [1, 3, 0, 4]  # two by bits, two by difference
  assert figures.grid(found, 2).shape == (2, 3, 2, 2, 3)


def test_other_methods_are_shown_between_our_first_sample_and_the_original():
  inputs = {index: fake_inputs(index, 0, 0) for index in (3, 7)}
  others = {
    7: np.stack([np.full((2, 2, 3), level, np.uint8) for level in (1, 2)]),
    3: np.stack([np.full((2, 2, 3), level, np.uint8) for level in (8, 9)]),
  }
  rows = figures.methods(inputs, others)
  assert rows[..., 0, 0, 0].tolist() == [
    [7, 57, 1, 2, 107],
    [3, 53, 8, 9, 103],
  ]


@pytest.mark.slow
def test_every_figure_of_a_model_is_made_from_one_pass(
  trained, tmp_path, monkeypatch, capsys
):
  params, config = trained
  config = config.copy_and_resolve_references()
  picture = tiny.images(1, 9, 12)[0]
  image_files.save_image(tmp_path / 'other' / '004.jpg', picture)
  passes = []
  draw_and_score = figure_inputs.draw_and_score

  def count(*args, **kwargs):
    passes.append(args)
    return draw_and_score(*args, **kwargs)

  monkeypatch.setattr(figure_inputs, 'draw_and_score', count)
  paths = list(
    figures.make_all(
      ['x'],
      [(params, config)],
      tmp_path,
      compare_with=str(tmp_path / 'other'),
    )
  )
  shown = [name for name in figures.FIGURES if name != 'levels']
  assert [path.stem for path in paths] == [*shown, 'compare_folders']
  for path in paths:
    with Image.open(path) as image:
      assert image.size[1] >= 64 and image.size[0] > 100
  assert len(passes) == 1
  stderr = capsys.readouterr().err
  assert 'No curve.png: x is not' in stderr
  assert 'No levels.png: the model has no finer levels' in stderr


@pytest.mark.slow
def test_other_methods_are_refused_for_several_models(trained, tmp_path):
  with pytest.raises(errors.UserError, match='one model, got 2'):
    next(
      figures.make_all(
        ['x', 'y'], [trained] * 2, tmp_path, compare_with=str(tmp_path)
      )
    )


@pytest.mark.slow
def test_maps_of_a_sample_are_shown_coarsest_first():
  params, config = tiny.model_with_levels()
  rgb = tiny.images(2, 16, 16)
  drawn = list(
    figure_inputs.draw_and_score(
      config, devices.replicate(params), rgb, indices=[0, 1]
    )
  )
  rows = figures.levels(drawn, 2)
  # Columns: grey, 4 x 4 and 8 x 8 cells, the sample, the original.
  assert rows.shape == (2, 5, 16, 16, 3)
  net = run_config.build_model(config)
  lab = net.split_lab(rgb)
  keys = sample.image_keys(config.sampling.seed, jax.numpy.arange(2))
  finest = sample.sample_chroma(net, params, lab.luminance, keys, 1)[:, 0]
  for column, chroma in ((1, levels.coarsen(finest)), (2, finest)):
    side = 16 // chroma.shape[1]
    cells = chroma.repeat(side, 1).repeat(side, 2)
    expected = pictures.to_rgb(net, lab.luminance, cells[:, None])[:, 0]
    np.testing.assert_array_equal(rows[:, column], expected)


def test_the_reason_for_a_missing_figure_is_printed(
  trained, monkeypatch, capsys
):
  params, config = trained
  config = config.copy_and_resolve_references()
  inputs = [fake_inputs(index, 0, 0) for index in range(21)]
  monkeypatch.setattr(
    figure_inputs,
    'draw_and_score',
    lambda *_, indices: [inputs[i] for i in indices],
  )
  written = []
  monkeypatch.setattr(
    figures, '_save', lambda rows, path: written.append((path.stem, rows()))
  )
  for head, weight, expected, reason in (
    ('decoder', 0.0, ['grid', 'diversity', 'failures'], 'embedding_loss'),
    ('regression', 0.0, ['grid'], 'model.head=regression'),
  ):
    config.model.update(head=head, embedding_loss_weight=weight)
    list(figures.make_all(['x'], [(params, config)], pathlib.Path()))
    assert [name for name, _ in written] == expected
    assert reason in capsys.readouterr().err
    written.clear()


@pytest.mark.slow
def test_compared_models_get_the_same_images_and_noise(trained):
  rows = figures.models([trained, trained])
  assert rows.shape[1] == 8  # grey, 2 x 3 samples, original
  np.testing.assert_array_equal(rows[:, 1:4], rows[:, 4:7])
  assert (rows[:, 1] != rows[:, 2]).any()


@pytest.mark.parametrize(
  'name,value,text',
  [
    ('num_components', 3, 'model.num_components.*got 2 and 3'),
    ('chroma_factor', 4, 'factor, got 2 and 4'),
  ],
)
def test_models_whose_noise_has_different_shapes_are_refused(
  name, value, text, tmp_path
):
  config = tiny.narrow_config('smoke', tmp_path)
  other = tiny.narrow_config('smoke', tmp_path)
  other.model[name] = value
  if name == 'num_components':
    other.model.embedding_features = 24
  with pytest.raises(errors.UserError, match=text):
    figures.check_alike(config, other)
