"""One photograph in, several out: size, luminance, reproducible samples."""

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
  return colorize.Colorizer(*tiny.shaken_model())


def smooth(height, width, seed=0):
  """A colour photograph without extreme levels."""
  return (60 + tiny.images(1, height, width, seed)[0] // 2).astype(np.uint8)


def to_network_size(rgb):
  return network_size.to_network_size(rgb, 8, 2, chroma_filter='point')


@pytest.mark.parametrize(
  'height,width,expected',
  [
    (300, 400, (16, 21)),
    (400, 300, (21, 16)),
    (16, 16, (16, 16)),
    (1, 1, (16, 16)),
    (1, 5000, (1, 64)),  # at most 4 times as long as the trained size
    (20000, 2, (64, 1)),
    (100, 400, (16, 64)),
  ],
)
def test_the_network_sees_the_short_side_at_its_size(height, width, expected):
  assert network_size.chroma_shape(height, width, 32, factor=2) == expected


def test_what_the_network_sees_is_padded_to_few_shapes():
  shapes = set()
  for height, width in [(40, w) for w in range(40, 240, 17)] + [(90, 40)]:
    network_input = to_network_size(smooth(height, width))
    rows, columns = network_input.map_shape
    assert (2 * rows, 2 * columns) <= network_input.grey_values.shape
    assert network_input.chroma.shape == (
      *(x // 2 for x in network_input.grey_values.shape),
      2,
    )
    np.testing.assert_array_equal(
      network_input.grey_values[:, 2 * columns :],
      network_input.grey_values[:, [2 * columns - 1]].repeat(
        network_input.grey_values.shape[1] - 2 * columns, 1
      ),
    )
    shapes.add(network_input.grey_values.shape)
  # Three aspects in each direction, and the square: at most 7 programs.
  assert shapes == {(8, 8), (8, 12), (8, 16), (8, 32), (32, 8)}
  assert to_network_size(smooth(40, 50)[..., :1]).chroma is None


@pytest.mark.parametrize('height,width', [(37, 53), (300, 7), (1, 1)])
def test_luminance_is_the_photographs_own(colorizer, height, width):
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
def test_grey_is_shown_as_grey_as_it_is(colorizer):
  ramp = np.arange(256, dtype=np.uint8).reshape(8, 32)
  shown = network_size.grey_picture(colorizer.to_network_size(ramp))
  np.testing.assert_array_equal(shown, np.repeat(ramp[..., None], 3, -1))


def test_colour_out_of_the_gamut_is_counted(colorizer):
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


def test_a_sample_depends_on_image_seed_and_number_only(colorizer):
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
def test_chroma_of_a_sample_scored_as_an_original_keeps_its_score(colorizer):
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

  def refuse(*args, **named):
    raise AssertionError('a pass of the model that nobody reads')

  monkeypatch.setattr(colorizer._programs, '_score', refuse)
  assert colorizer.score_originals([grey]) == [None]
  colorizer.draw([grey, coloured], options.Settings(num_samples=1))


def test_noise_follows_the_grey_levels():
  first, second = (
    to_network_size(smooth(20, 24, seed=seed)).grey_values for seed in (0, 1)
  )
  words = programs.key_words(first)
  np.testing.assert_array_equal(programs.key_words(first.copy()), words)
  assert (programs.key_words(second) != words).any()
  assert (programs.key_words(first.T) != words).any()


def test_ranking_keeps_probable_or_different_samples():
  bits = np.array([3.0, 1.0, 2.0, 4.0])
  line = np.array([0.0, 1.0, 3.0, 10.0])  # samples on a line
  differences = np.abs(line[:, None] - line)

  def kept(rank, num_samples):
    chosen = options.Settings(
      num_samples=num_samples, rank=rank, num_candidates=4
    )
    assert chosen.num_drawn == (num_samples if rank == 'none' else 4)
    return drawn_samples.choose(chosen, bits, differences)

  assert kept('none', 2) == [0, 1]
  assert kept('probable', 3) == [1, 2, 0]
  # From the most probable one (at 1), the farthest (10), then 3 before 0.
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
def test_impossible_settings_are_named(changes, text):
  with pytest.raises(ValueError, match=text):
    options.Settings(**changes)


def test_arrays_in_arrays_out(colorizer, tmp_path):
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
def test_a_model_has_a_temperature_and_guidance_of_its_own(colorizer):
  params, config = tiny.shaken_model()
  recommended = recommended_sampling.RecommendedSampling(temperature=0.0)
  calm = colorize.Colorizer(params, config, recommended=recommended)
  network_input = calm.to_network_size(smooth(8, 8))
  (own,) = calm.draw([network_input], options.Settings(num_samples=2))
  np.testing.assert_array_equal(own.chroma[0], own.chroma[1])
  chosen = options.Settings(num_samples=2, temperature=1.0)
  assert calm.complete(chosen).temperature == 1.0
  (exact,) = colorizer.draw([network_input], options.Settings(num_samples=2))
  (guided,) = colorizer.draw(
    [network_input], options.Settings(num_samples=2, guidance=5.0)
  )
  assert (guided.chroma != exact.chroma).any()
  assert colorizer.complete(options.Settings()).guidance == 0.0


@pytest.mark.slow
def test_guidance_minus_the_prior_draws_other_colours(colorizer):
  params, config = tiny.shaken_model()
  reddish = np.random.default_rng(0).uniform((0, -1), 1, (20_000, 2))
  prior = colour_prior.make([reddish])
  recommended = recommended_sampling.RecommendedSampling(
    guidance=5.0, prior_exponent=3.0
  )
  less = colorize.Colorizer(
    params, config, recommended=recommended, prior=prior
  )
  network_input = less.to_network_size(smooth(8, 8))
  drawn = {
    exponent: less.draw(
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
  # As in a forked child, which is not the process that made the colorizer.
  monkeypatch.setattr(colorize.os, 'getpid', lambda: -1)
  with pytest.raises(errors.RunError, match="get_context\\('spawn'\\)"):
    colorizer(rgb, num_samples=1)


def test_exact_is_temperature_1_without_guidance_or_saturation():
  settings = options.Settings(exact=True)
  assert (settings.temperature, settings.guidance) == (1.0, 0.0)
  assert settings.saturation == settings.fine_temperature == 1.0
  assert options.Settings(exact=True, guidance=0.0) == settings
  with pytest.raises(errors.UserError, match='exact.*temperature 1, got 0.5'):
    options.Settings(exact=True, temperature=0.5)


@pytest.mark.parametrize('value', [True, False, '1'])
def test_only_numbers_are_numbers(value):
  for name in ('seed', 'temperature'):
    with pytest.raises(errors.UserError, match=f'`{name}` must be a'):
      options.Settings(**{name: value})


def test_the_finer_levels_follow_a_temperature_that_is_chosen():
  params, config = tiny.shaken_model()
  recommended = recommended_sampling.RecommendedSampling(
    temperature=0.8, fine_temperature=0.5
  )
  calm = colorize.Colorizer(params, config, recommended=recommended)
  assert calm.complete(options.Settings()).fine_temperature == 0.5
  chosen = options.Settings(temperature=0.9)
  assert calm.complete(chosen).fine_temperature == 0.9
  both = options.Settings(temperature=0.9, fine_temperature=0.2)
  assert calm.complete(both).fine_temperature == 0.2
  plain = colorize.Colorizer(params, config)
  assert plain.complete(options.Settings()).fine_temperature == 1.0


@pytest.mark.slow
def test_a_model_with_levels_colours_a_photograph_on_its_finest_map():
  levelled = colorize.Colorizer(*tiny.levelled_model())
  rgb = smooth(40, 60)
  plain = levelled.to_network_size(rgb)
  assert plain.map_shape == (8, 12)
  known = levelled.add_hints(plain, [(10, 10, (200, 30, 30))])
  settings = options.Settings(num_samples=2)
  drawn = []
  for network_input in (plain, known):
    (sample_set,) = levelled.draw([network_input], settings)
    drawn.append(sample_set.chroma)
    assert sample_set.chroma.shape == (2, 8, 12, 2)
    assert np.isfinite(sample_set.bits_per_dim).all()
    coarse = sample_set.chroma.reshape(2, 4, 2, 6, 2, 2).mean((2, 4))
    assert (
      np.abs(sample_set.chroma - coarse.repeat(2, 1).repeat(2, 2)).max() > 1
    )
  given = known.hints[..., 2] > 0
  assert given.any() and not given.all()
  # Hints fix the means of the decoder's cells, see `coarse_hints`.
  found = levels.coarsen(color.chroma_to_network(sample_set.chroma))
  wanted = np.asarray(levels.coarsen_hints(known.hints))
  # On a map as small as this one, a cell may also hold kept or fading chroma.
  keeps_some = known.kept.reshape(4, 2, 6, 2).any((1, 3))
  fixed = (wanted[..., 2] > 0) & ~keeps_some
  assert fixed.any() and not fixed.all()
  np.testing.assert_allclose(
    found[:, fixed],
    np.broadcast_to(wanted[fixed][:, :2], (2, fixed.sum(), 2)),
    atol=1e-5,
  )
  is_far = known.kept == 1
  assert is_far.any() and not is_far.all()
  np.testing.assert_array_equal(drawn[1][:, is_far], drawn[0][:, is_far])
  theta, luminance = levelled.expect(known)
  assert theta.shape[:2] == luminance.shape[:2] == (8, 12)
  assert levelled.score_originals([plain])[0] > 0
  assert levelled(rgb, num_samples=1).shape == (1, 40, 60, 3)


@pytest.mark.slow
@pytest.mark.parametrize(
  ('settings', 'factor'),
  [({}, 1), ({'exact': True}, 1), ({'saturation': 1.6}, 1.28)],
)
def test_a_hint_is_a_colour_of_the_result_before_adjustments(settings, factor):
  params, config = tiny.hinted_model()
  own = recommended_sampling.RecommendedSampling(saturation=1.25)
  vivid = colorize.Colorizer(params, config, recommended=own)
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


def test_grey_that_a_jpeg_has_stored_as_colours_is_not_called_toned():
  levels = tiny.images(1, 40, 60)[0].mean(-1, keepdims=True)
  noise = np.random.default_rng(0).integers(0, 2, (40, 60, 3))
  rgb = np.clip(levels + noise, 0, 255).astype(np.uint8)
  network_input = to_network_size(rgb)
  assert network_input.chroma is None and not network_input.is_toned


@pytest.mark.parametrize('name', ['astronaut.png', 'china.jpg', 'rocket.jpg'])
def test_a_colour_photograph_does_not_count_as_toned(name):
  rgb = image_files.load_image(ROOT / 'photos' / name)
  network_input = network_size.to_network_size(rgb, 64, 4, chroma_filter='area')
  assert not network_input.is_toned and network_input.chroma is not None


def test_the_package_gives_the_python_api_without_importing_jax():
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
