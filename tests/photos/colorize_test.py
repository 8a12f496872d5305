"""Colouring of single photographs: size, luminance, samples and settings."""

import io
import pathlib
import pickle
import subprocess
import sys

import numpy as np
import pytest

from pic_jax.images import any_shape, color, image_files
from pic_jax.model import colour_prior, levels
from pic_jax.photos import (
  adjustments,
  colorize,
  drawn_samples,
  network_size,
  options,
  programs,
)
from pic_jax.runtime import errors
from pic_jax.saved import recommended_sampling
from tests import tiny

ROOT = pathlib.Path(__file__).parents[2]
CASES = ROOT / 'tests' / 'cases'


@pytest.fixture(scope='module')
def colorizer():
  return colorize.Colorizer(*tiny.untrained_model())


def smooth(height, width, seed=0):
  """A random photograph, [height, width, 3] uint8, values from 60 to 187."""
  return (60 + tiny.images(1, height, width, seed)[0] // 2).astype(np.uint8)


def to_network_size(rgb):
  """Prepares a photograph for a network of size 8 with a chroma factor of 2."""
  return network_size.to_network_size(rgb, 8, 2, chroma_filter='point')


@pytest.mark.parametrize(
  'height,width,expected',
  [
    (300, 400, (16, 21)),
    (400, 300, (21, 16)),
    (16, 16, (16, 16)),
    (1, 1, (16, 16)),
    (1, 5000, (1, 64)),  # the long side is at most 4 times 16
    (20000, 2, (64, 1)),
    (100, 400, (16, 64)),
  ],
)
def test_the_short_side_of_the_chroma_map_is_that_of_training(
  height, width, expected
):
  assert network_size.chroma_shape(height, width, 32, factor=2) == expected


def test_network_inputs_are_padded_to_few_shapes():
  shapes = set()
  for height, width in [(40, w) for w in range(40, 240, 17)] + [(90, 40)]:
    network_input = to_network_size(smooth(height, width))
    rows, columns = network_input.map_shape
    padded_height, padded_width = network_input.grey_values.shape
    assert 2 * rows <= padded_height and 2 * columns <= padded_width
    assert network_input.chroma.shape == (
      *(side // 2 for side in network_input.grey_values.shape),
      2,
    )
    np.testing.assert_array_equal(
      network_input.grey_values[:, 2 * columns :],
      network_input.grey_values[:, [2 * columns - 1]].repeat(
        network_input.grey_values.shape[1] - 2 * columns, 1
      ),
    )
    shapes.add(network_input.grey_values.shape)
  # The square, and three aspect ratios in each direction: at most 7 shapes.
  assert shapes == {(8, 8), (8, 12), (8, 16), (8, 32), (32, 8)}
  assert to_network_size(smooth(40, 50)[..., :1]).chroma is None


@pytest.mark.parametrize('height,width', [(37, 53), (300, 7), (1, 1)])
def test_the_result_has_the_luminance_of_the_photograph(
  colorizer, height, width
):
  tolerance = 100 / 255  # in units of L
  rgb = smooth(height, width)
  chosen = options.Settings(num_samples=2)
  (sample_set,) = colorizer.draw([colorizer.to_network_size(rgb)], chosen)
  before = color.rgb_to_lab(rgb)[..., 0]
  for index in range(2):
    result, clipped = colorizer.render(
      sample_set.network_input,
      sample_set.chroma[index],
      adjustments.Adjustments(saturation=0.1),
    )
    assert result.shape == (height, width, 3) and result.dtype == np.uint8
    after = color.rgb_to_lab(result)
    is_off = np.abs(after[..., 0] - before) > tolerance
    assert is_off.mean() <= clipped < 0.5
    assert np.abs(after[..., 1:]).max() > 1  # coloured


@pytest.mark.slow
def test_the_grey_picture_of_a_grey_photograph_equals_it(colorizer):
  ramp = np.arange(256, dtype=np.uint8).reshape(8, 32)
  shown = network_size.grey_picture(colorizer.to_network_size(ramp))
  np.testing.assert_array_equal(shown, np.repeat(ramp[..., None], 3, -1))


def test_render_counts_pixels_outside_the_gamut(colorizer):
  chosen = options.Settings(num_samples=1)
  rgb = smooth(20, 30)
  (sample_set,) = colorizer.draw([colorizer.to_network_size(rgb)], chosen)
  _, clipped = colorizer.render(
    sample_set.network_input,
    sample_set.chroma[0],
    adjustments.Adjustments(saturation=50.0),
  )
  assert clipped > 0.5
  result, clipped = colorizer.render(
    sample_set.network_input,
    sample_set.chroma[0],
    adjustments.Adjustments(saturation=0.0),
  )
  assert clipped == 0 and (np.ptp(result.astype(int), -1) <= 1).all()


def test_a_sample_depends_only_on_image_seed_and_number(colorizer):
  images = [smooth(20, 24 + 3 * seed, seed=seed) for seed in range(3)]
  inputs = [colorizer.to_network_size(rgb) for rgb in images]
  assert len({network_input.grey_values.shape for network_input in inputs}) == 1
  four, two = (options.Settings(num_samples=n, seed=5) for n in (4, 2))
  together = colorizer.draw(inputs, four)
  for index in (0, 2):
    (alone,) = colorizer.draw([inputs[index]], two)
    np.testing.assert_array_equal(alone.chroma, together[index].chroma[:2])
    np.testing.assert_allclose(
      alone.bits_per_dim, together[index].bits_per_dim[:2], rtol=1e-5
    )
  other = colorizer.draw(inputs, options.Settings(num_samples=4, seed=6))
  assert (other[0].chroma != together[0].chroma).any()
  samples = together[0].chroma
  assert (samples[0] != samples[1]).any() and together[0].difference > 0


@pytest.mark.slow
def test_draw_and_score_originals_agree_on_bits_per_dim(colorizer):
  """`draw` and `score_originals` give the same chroma the same bits/dim."""
  rgb = smooth(8, 8)
  chosen = options.Settings(num_samples=1)
  network_input = colorizer.to_network_size(rgb)
  (sample_set,) = colorizer.draw([network_input], chosen)
  as_original = network_size.NetworkInput(
    network_input.luminance,
    network_input.grey_values,
    network_input.map_shape,
    sample_set.chroma[0],
  )
  (again,) = colorizer.score_originals([as_original])
  np.testing.assert_allclose(again, sample_set.bits_per_dim[0], rtol=1e-4)


def test_only_photographs_with_colours_are_scored(colorizer, monkeypatch):
  rgb = smooth(20, 24)
  coloured = colorizer.to_network_size(rgb)
  grey = colorizer.to_network_size(rgb[..., 0])
  assert coloured.grey_values.shape == grey.grey_values.shape
  bits = colorizer.score_originals([grey, coloured, grey])
  assert bits[0] is bits[2] is None and bits[1] > 0
  assert bits[1] == colorizer.score_originals([coloured])[0]

  def refuse(*args, **kwargs):
    raise AssertionError('The model must not score grey photographs.')

  monkeypatch.setattr(colorizer._programs, '_score', refuse)
  assert colorizer.score_originals([grey]) == [None]
  colorizer.draw([grey, coloured], options.Settings(num_samples=1))


def test_random_keys_depend_on_the_grey_values():
  first, second = (
    to_network_size(smooth(20, 24, seed=seed)).grey_values for seed in (0, 1)
  )
  words = programs.key_words(first)
  np.testing.assert_array_equal(programs.key_words(first.copy()), words)
  assert (programs.key_words(second) != words).any()
  assert (programs.key_words(first.T) != words).any()


def test_rank_keeps_the_most_probable_or_the_most_different_samples():
  bits = np.array([3.0, 1.0, 2.0, 4.0])
  positions = np.array([0.0, 1.0, 3.0, 10.0])  # of the samples, on a line
  differences = np.abs(positions[:, None] - positions)

  def kept(rank, num_samples):
    chosen = options.Settings(
      num_samples=num_samples, rank=rank, num_candidates=4
    )
    assert chosen.num_drawn == (num_samples if rank == 'none' else 4)
    return drawn_samples.choose(chosen, bits, differences)

  assert kept('none', 2) == [0, 1]
  assert kept('probable', 3) == [1, 2, 0]
  # The most probable sample is at 1, and the farthest from it is at 10. Then
  # follows the sample at 3, which is farther from 1 than the sample at 0.
  assert kept('different', 3) == [1, 3, 2]


@pytest.mark.parametrize(
  'changes,text',
  [
    ({'num_samples': 0}, 'num_samples'),
    ({'samples': [-1]}, 'samples'),
    ({'samples': [1], 'rank': 'probable'}, 'rank'),
    ({'temperature': -1.0}, 'temperature'),
    ({'temperature': float('nan')}, 'temperature'),
    ({'saturation': float('inf')}, 'saturation'),
    ({'seed': -1}, 'seed'),
    ({'rank': 'best'}, 'none, probable, different'),
    ({'rank': 'probable', 'num_candidates': 3}, 'num_candidates'),
    ({'num_samples': '2'}, "num_samples` must be a whole number, got '2'"),
    ({'num_samples': True}, 'num_samples` must be a whole number, got True'),
    ({'seed': None}, 'seed` must be a whole number, got None'),
    ({'saturation': '1'}, "saturation` must be a number, got '1'"),
    ({'temperature': 'hot'}, "temperature` must be a number, got 'hot'"),
    ({'rank': 1}, 'rank` must be text, got 1'),
  ],
)
def test_errors_name_invalid_settings(changes, text):
  with pytest.raises(ValueError, match=text):
    options.Settings(**changes)


def test_a_call_takes_and_returns_arrays(colorizer, tmp_path):
  rgb = smooth(21, 34)
  result = colorizer(rgb, num_samples=2, seed=3)
  assert result.shape == (2, 21, 34, 3) and result.dtype == np.uint8
  np.testing.assert_array_equal(colorizer(rgb, 2, 3), result)
  (second,) = colorizer(rgb, seed=3, samples=[1])
  np.testing.assert_array_equal(second, result[1])
  assert colorizer(rgb[..., 0], num_samples=1).shape == (1, 21, 34, 3)
  for bad in (rgb[0, 0], rgb[..., :2], rgb.astype(float), rgb[:0]):
    with pytest.raises(ValueError, match='must be'):
      colorizer(bad)
  with pytest.raises(errors.RunError):
    colorize.Colorizer.load(str(tmp_path))


@pytest.mark.slow
def test_a_sample_can_be_drawn_by_its_number_alone(colorizer):
  network_input = colorizer.to_network_size(smooth(8, 8))
  (four,) = colorizer.draw([network_input], options.Settings(num_samples=4))
  (alone,) = colorizer.draw([network_input], options.Settings(samples=[2]))
  np.testing.assert_array_equal(alone.chroma[0], four.chroma[2])


@pytest.mark.slow
def test_recommended_values_apply_unless_the_user_sets_others(colorizer):
  params, config = tiny.untrained_model()
  recommended = recommended_sampling.RecommendedSampling(temperature=0.0)
  cold = colorize.Colorizer(params, config, recommended=recommended)
  network_input = cold.to_network_size(smooth(8, 8))
  (modes,) = cold.draw([network_input], options.Settings(num_samples=2))
  np.testing.assert_array_equal(modes.chroma[0], modes.chroma[1])
  chosen = options.Settings(num_samples=2, temperature=1.0)
  assert cold.complete(chosen).temperature == 1.0
  (exact,) = colorizer.draw([network_input], options.Settings(num_samples=2))
  (guided,) = colorizer.draw(
    [network_input], options.Settings(num_samples=2, guidance=5.0)
  )
  assert (guided.chroma != exact.chroma).any()
  assert colorizer.complete(options.Settings()).guidance == 0.0


@pytest.mark.slow
def test_prior_exponent_favours_colours_that_are_rare_in_the_prior(colorizer):
  params, config = tiny.untrained_model()
  reddish = np.random.default_rng(0).uniform((0, -1), 1, (20_000, 2))
  prior = colour_prior.make([reddish])
  recommended = recommended_sampling.RecommendedSampling(
    guidance=5.0, prior_exponent=3.0
  )
  with_prior = colorize.Colorizer(
    params, config, recommended=recommended, prior=prior
  )
  network_input = with_prior.to_network_size(smooth(8, 8))
  drawn = {
    exponent: with_prior.draw(
      [network_input],
      options.Settings(num_samples=2, prior_exponent=exponent),
    )[0].chroma
    for exponent in (None, 0.0, 3.0)
  }
  np.testing.assert_array_equal(drawn[None], drawn[3.0])
  assert (drawn[0.0] != drawn[3.0]).any()
  assert drawn[3.0][..., 0].mean() < drawn[0.0][..., 0].mean()
  with pytest.raises(errors.UserError, match='no prior of colours'):
    colorizer.draw(
      [network_input], options.Settings(guidance=1.0, prior_exponent=0.5)
    )


def test_a_colorizer_can_be_pickled_and_refuses_to_work_in_a_fork(
  colorizer, monkeypatch
):
  copy = pickle.Unpickler(io.BytesIO(pickle.dumps(colorizer))).load()
  rgb = smooth(8, 8)
  expected = colorizer(rgb, num_samples=1)
  np.testing.assert_array_equal(copy(rgb, num_samples=1), expected)
  assert copy.digest == colorizer.digest
  # As in a forked child, whose process number differs.
  monkeypatch.setattr(colorize.os, 'getpid', lambda: -1)
  with pytest.raises(errors.RunError, match="get_context\\('spawn'\\)"):
    colorizer(rgb, num_samples=1)


def test_exact_means_temperature_1_no_guidance_and_saturation_1():
  settings = options.Settings(exact=True)
  assert (settings.temperature, settings.guidance) == (1.0, 0.0)
  assert settings.saturation == settings.fine_temperature == 1.0
  assert options.Settings(exact=True, guidance=0.0) == settings
  with pytest.raises(errors.UserError, match='exact.*temperature 1, got 0.5'):
    options.Settings(exact=True, temperature=0.5)


@pytest.mark.parametrize('value', [True, False, '1'])
def test_bools_and_text_are_not_numbers(value):
  for name in ('seed', 'temperature'):
    with pytest.raises(errors.UserError, match=f'`{name}` must be a'):
      options.Settings(**{name: value})


def test_a_chosen_temperature_also_applies_to_the_finer_levels():
  params, config = tiny.untrained_model()
  recommended = recommended_sampling.RecommendedSampling(
    temperature=0.8, fine_temperature=0.5
  )
  colorizer = colorize.Colorizer(params, config, recommended=recommended)
  assert colorizer.complete(options.Settings()).fine_temperature == 0.5
  chosen = options.Settings(temperature=0.9)
  assert colorizer.complete(chosen).fine_temperature == 0.9
  both = options.Settings(temperature=0.9, fine_temperature=0.2)
  assert colorizer.complete(both).fine_temperature == 0.2
  plain = colorize.Colorizer(params, config)
  assert plain.complete(options.Settings()).fine_temperature == 1.0


@pytest.mark.slow
def test_a_model_with_finer_levels_colours_a_photograph():
  colorizer = colorize.Colorizer(*tiny.model_with_levels())
  rgb = smooth(40, 60)
  plain = colorizer.to_network_size(rgb)
  assert plain.map_shape == (8, 12)
  hinted = colorizer.add_hints(plain, [(10, 10, (200, 30, 30))])
  settings = options.Settings(num_samples=2)
  drawn = []
  for network_input in (plain, hinted):
    (sample_set,) = colorizer.draw([network_input], settings)
    drawn.append(sample_set.chroma)
    assert sample_set.chroma.shape == (2, 8, 12, 2)
    assert np.isfinite(sample_set.bits_per_dim).all()
    coarse = sample_set.chroma.reshape(2, 4, 2, 6, 2, 2).mean((2, 4))
    assert (
      np.abs(sample_set.chroma - coarse.repeat(2, 1).repeat(2, 2)).max() > 1
    )
  is_known = hinted.hints[..., 2] > 0
  assert is_known.any() and not is_known.all()
  # In the decoder's cells, samples have the mean chroma of the hints; see
  # `levels.coarsen_hints`.
  found = levels.coarsen(color.chroma_to_network(sample_set.chroma))
  wanted = np.asarray(levels.coarsen_hints(hinted.hints))
  # On such a small map, a cell with a hint may also have pixels that keep some
  # of the chroma without hints.
  keeps_some = hinted.kept.reshape(4, 2, 6, 2).any((1, 3))
  is_fixed = (wanted[..., 2] > 0) & ~keeps_some
  assert is_fixed.any() and not is_fixed.all()
  np.testing.assert_allclose(
    found[:, is_fixed],
    np.broadcast_to(wanted[is_fixed][:, :2], (2, is_fixed.sum(), 2)),
    atol=1e-5,
  )
  is_far = hinted.kept == 1
  assert is_far.any() and not is_far.all()
  np.testing.assert_array_equal(drawn[1][:, is_far], drawn[0][:, is_far])
  theta, luminance = colorizer.expect(hinted)
  assert theta.shape[:2] == luminance.shape[:2] == (8, 12)
  assert colorizer.score_originals([plain])[0] > 0
  assert colorizer(rgb, num_samples=1).shape == (1, 40, 60, 3)


@pytest.mark.slow
@pytest.mark.parametrize(
  ('settings', 'factor'),
  [({}, 1), ({'exact': True}, 1), ({'saturation': 1.6}, 1.28)],
)
def test_results_have_the_colour_of_a_hint_at_the_default_saturation(
  settings, factor
):
  params, config = tiny.hinted_model()
  recommended = recommended_sampling.RecommendedSampling(saturation=1.25)
  vivid = colorize.Colorizer(params, config, recommended=recommended)
  grey = np.full((40, 60, 3), 120, np.uint8)
  (rgb,) = vivid(grey, 1, 0, [(30, 20, '#966450')], **settings)
  wanted = any_shape.rgb_to_lab(np.array([[[150, 100, 80]]], np.uint8))
  found = any_shape.rgb_to_lab(rgb[18:23, 27:34])[..., 1:]
  assert np.abs(np.median(found, (0, 1)) - factor * wanted[0, 0, 1:]).max() < 2


@pytest.mark.parametrize('name', ['sepia', 'bluish'])
def test_a_toned_photograph_counts_as_grey(name):
  rgb = image_files.load_image(CASES / 'toned' / f'{name}.jpg')
  network_input = to_network_size(rgb)
  assert network_input.is_toned and network_input.chroma is None


def test_grey_with_slight_noise_in_colour_is_not_toned():
  grey = tiny.images(1, 40, 60)[0].mean(-1, keepdims=True)
  noise = np.random.default_rng(0).integers(0, 2, (40, 60, 3))
  rgb = np.clip(grey + noise, 0, 255).astype(np.uint8)
  network_input = to_network_size(rgb)
  assert network_input.chroma is None and not network_input.is_toned


@pytest.mark.parametrize('name', ['astronaut.png', 'china.jpg', 'rocket.jpg'])
def test_a_colour_photograph_does_not_count_as_toned(name):
  rgb = image_files.load_image(ROOT / 'photos' / name)
  network_input = network_size.to_network_size(rgb, 64, 4, chroma_filter='area')
  assert not network_input.is_toned and network_input.chroma is not None


def test_the_package_imports_jax_only_when_its_api_is_used():
  code = (
    'import sys, pic_jax\n'
    'assert "jax" not in sys.modules\n'
    'from pic_jax import colorize\n'
    'assert colorize.Colorizer and colorize.load_image\n'
  )
  result = subprocess.run(
    [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True
  )
  assert result.returncode == 0, result.stderr
