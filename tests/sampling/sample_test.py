"""All methods draw the same samples from a key, and they follow the model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pic_jax.images import color
from pic_jax.model import hints, logistic_mixture
from pic_jax.runtime import devices
from pic_jax.sampling import conditions, pictures, sample, sheets
from tests import tiny


def prepare(count=3, height=10, width=14, **changes):
  net = tiny.net(**changes)
  lab = net.split_lab(tiny.images(count, height, width))
  params = tiny.trained_like(net, lab)
  keys = jax.random.split(jax.random.key(7), count)
  return net, params, lab, keys


def draw(net, params, lab, keys, **kwargs):
  return jax.jit(
    lambda params, luminance, keys: sample.sample_chroma(
      net, params, luminance, keys, **kwargs
    )
  )(params, lab.luminance, keys)


def draw_samples(net, params, lab, keys, **spec):
  spec = conditions.SamplingSpec(**spec)
  return sample.draw(net, params, lab.luminance, keys=keys, spec=spec)


def by_all_methods(*args, temperature=1.0):
  return [
    draw(*args, num_samples=2, temperature=temperature, method=method)
    for method in ('naive', 'cached', 'parallel')
  ]


@pytest.mark.parametrize(
  'gated,temperature',
  [(True, 1.0), pytest.param(False, 0.5, marks=pytest.mark.slow)],
)
def test_all_methods_draw_identical_chroma(gated, temperature):
  heads = 2 if gated else 0
  net, params, lab, keys = prepare(gated=gated, attention_heads=heads)
  if heads:
    # With large gains, attention to squares of chroma would drive all values to
    # the ends of the range.
    params['decoder']['attention']['project']['g'] *= 0.1
    params['decoder']['head']['g'] *= 0.1
  naive, cached, parallel = by_all_methods(
    net, params, lab, keys, temperature=temperature
  )
  assert naive.shape == (3, 2, 5, 7, 2)
  np.testing.assert_array_equal(cached, naive)
  np.testing.assert_array_equal(parallel, naive)
  assert len(np.unique(naive[..., 0])) > 20  # not constant
  integers = color.chroma_from_network(naive)
  np.testing.assert_allclose(integers, np.round(integers), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize('side', [16, 32])
@pytest.mark.parametrize('count', [1, 5])
def test_methods_agree_at_real_map_sizes(side, count):
  net, params, lab, keys = prepare(count, 2 * side, 2 * side)
  naive, cached, parallel = (
    draw(net, params, lab, keys, method=method)
    for method in ('naive', 'cached', 'parallel')
  )
  np.testing.assert_array_equal(cached, naive)
  np.testing.assert_array_equal(parallel, naive)


@pytest.mark.slow
def test_a_key_gives_the_same_sample_in_any_batch_and_position():
  net, params, lab, keys = prepare()
  together = draw(net, params, lab, keys, num_samples=3)
  last = jax.tree.map(lambda x: x[2:], lab)
  alone = draw(net, params, last, keys[2:], num_samples=1)
  np.testing.assert_array_equal(alone[0, 0], together[2, 0])
  assert (together[2, 0] != together[2, 1]).any()
  other = draw(net, params, lab, keys[::-1], num_samples=3)
  assert (other[0] != together[0]).any()


@pytest.mark.slow
@pytest.mark.parametrize('chroma_filter', color.CHROMA_FILTERS)
def test_log_probs_of_samples_equal_those_of_a_whole_map_pass(chroma_filter):
  net, params, lab, keys = prepare(chroma_filter=chroma_filter)
  # Makes the mixture less sharp. With scales of e^-7, an error of 1e-6 in a
  # mean would change the log-probability by 1e-3 nats.
  params['decoder']['head']['g'] /= 5
  drawn = jax.jit(lambda: draw_samples(net, params, lab, keys, samples=2))()
  twice = lambda x: jnp.repeat(x, 2, 0)  # noqa: E731
  canvas = drawn.chroma.reshape(6, 5, 7, 2)
  theta, _ = jax.jit(net.apply)(
    {'params': params}, twice(lab.luminance), canvas
  )
  rescored = logistic_mixture.log_prob(
    theta, twice(lab.luminance_small), canvas
  )
  np.testing.assert_allclose(
    drawn.log_prob.reshape(6, 5, 7), rescored, atol=1e-4
  )


@pytest.mark.slow
def test_temperature_zero_takes_the_mode_given_earlier_pixels():
  net, params, lab, keys = prepare()
  cold = draw(net, params, lab, keys, num_samples=2, temperature=0.0)
  np.testing.assert_array_equal(cold[:, 0], cold[:, 1])
  theta, _ = jax.jit(net.apply)({'params': params}, lab.luminance, cold[:, 0])
  np.testing.assert_array_equal(
    logistic_mixture.mode(theta, lab.luminance_small), cold[:, 0]
  )


@pytest.mark.slow
def test_guidance_chooses_the_same_candidates_with_all_methods():
  net, params, lab, keys = prepare()
  params['embedding']['head']['g'] = 10 * params['embedding']['head']['g']

  @jax.jit
  def draw_with_strength(strength):
    spec = {'samples': 2, 'guidance': conditions.Guidance(strength, 4)}
    drawn = [
      draw_samples(net, params, lab, keys, method=method, **spec).chroma
      for method in ('naive', 'cached', 'parallel')
    ]
    theta = net.build_embedding().apply(
      {'params': params['embedding']}, lab.luminance
    )[:, None, ..., : net.num_outputs]
    embedding_log_prob = logistic_mixture.log_prob(
      theta, lab.luminance_small[:, None], drawn[0]
    )
    return drawn, embedding_log_prob.mean()

  plain = draw(net, params, lab, keys, num_samples=2)
  single = jax.eval_shape(  # with one candidate there is no choice
    lambda: conditions.prepare(
      net,
      params,
      lab.luminance,
      keys=keys,
      spec=conditions.SamplingSpec(2, guidance=conditions.Guidance(5, 1)),
    )
  )
  assert single.choice is None and single.noise.shape == (6, 5, 7, 4)
  log_probs = []
  for strength in (0.0, 5.0):
    (naive, cached, parallel), log_prob = draw_with_strength(strength)
    np.testing.assert_array_equal(cached, naive)
    np.testing.assert_array_equal(parallel, naive)
    assert (naive != plain).any()
    log_probs.append(log_prob)
  # Guidance makes samples more probable under the embedding's mixture.
  assert log_probs[1] > log_probs[0] + 0.5


@pytest.mark.slow
def test_candidates_are_chosen_by_a_power_of_the_embeddings_probability():
  """Every pixel has the same two candidates, with known probabilities."""
  num_pixels = 40_000
  theta = jnp.tile(
    jnp.array([0.0, 0, 0, 0, 0.0, -2.0, 0.0, -2.0]).reshape(1, 1, 1, 8),
    (1, 1, num_pixels, 1),
  )
  noise = jnp.zeros((2, 1, 1, num_pixels, 3)).at[1, ..., 1].set(2.0)
  inputs = conditions.SamplerInputs(
    embedding=theta,
    luminance=jnp.zeros((1, 1, num_pixels, 1)),
    noise=noise,
    choice=conditions.Choice(
      conditions.Guidance(0.5),
      theta,
      logistic_mixture.noise(jax.random.key(0), (2, 1, 1, num_pixels, 3))[
        ..., 0
      ],
    ),
  )
  chroma = inputs.sample(theta)
  candidates = [
    logistic_mixture.sample(theta, inputs.luminance, x) for x in noise
  ]
  log_probs = [
    float(logistic_mixture.log_prob(theta, inputs.luminance, x)[0, 0, 0])
    for x in candidates
  ]
  expected = 1 / (1 + np.exp(0.5 * (log_probs[0] - log_probs[1])))
  actual = (chroma == candidates[1]).all(-1).mean()
  assert 0.2 < expected < 0.45
  assert abs(actual - expected) < 4 * (0.25 / num_pixels) ** 0.5


@pytest.mark.slow
def test_hints_keep_their_values_with_all_methods():
  net, params, lab, keys = prepare(hint_share=0.5, attention_heads=2)
  kernel = params['embedding']['hints']
  params['embedding']['hints'] = 3.0 * jax.random.normal(
    jax.random.key(0), kernel.shape
  )
  mask = np.zeros((3, 5, 7), bool)
  mask[1, 3, 4] = mask[1, 4, 1] = True
  known = lab.chroma.at[1, 3, 4].set(-lab.chroma[1, 3, 4])
  hint_map = hints.from_mask(known, mask)
  draw_cached = jax.jit(
    lambda hint_map: draw_samples(
      net, params, lab, keys, samples=2, hints=hint_map
    )
  )
  plain, hinted = draw_cached(jnp.zeros_like(hint_map)), draw_cached(hint_map)
  cached = hinted.chroma
  for method in ('naive', 'parallel'):
    other = draw(
      net, params, lab, keys, num_samples=2, method=method, hints=hint_map
    )
    np.testing.assert_array_equal(cached, other)
  for row, col in ((3, 4), (4, 1)):
    values = cached[1, :, row, col]
    np.testing.assert_array_equal(values, known[1, row, col][None].repeat(2, 0))
  changed = np.asarray(cached != plain.chroma).any(-1)
  assert not changed[[0, 2]].any()  # images without hints
  assert changed[1, :, :3].any()  # pixels before both hints
  is_zero = np.asarray(hinted.log_prob == 0)
  assert is_zero[mask[:, None].repeat(2, 1)].all() and is_zero.mean() < 0.1


def test_parallel_needs_fewer_passes_than_pixels():
  net, params, lab, keys = prepare()
  drawn = jax.jit(
    lambda: draw_samples(net, params, lab, keys, method='parallel')
  )()
  assert 1 < drawn.num_passes < 5 * 7


@pytest.mark.slow
def test_samples_are_equal_on_eight_devices_and_on_one():
  net, params, lab, _ = prepare(count=5, chroma_filter='area')
  rgb = tiny.images(5)
  sampling = tiny.config('smoke').sampling
  with sampling.unlocked():
    sampling.update(seed=3, num_samples=2, temperature=0.5)
  rows = sheets.draw_rows(
    net,
    devices.replicate(params),
    rgb,
    indices=range(10, 15),
    sampling=sampling,
  )
  assert rows.shape == (5, 4, 10, 14, 3)
  keys = jax.vmap(jax.random.fold_in, (None, 0))(
    jax.random.key(3), jnp.arange(10, 15)
  )
  chroma = draw(
    net,
    params,
    lab,
    keys,
    num_samples=2,
    temperature=0.5,
  )
  expected = pictures.to_rgb(net, lab.luminance, chroma)
  np.testing.assert_array_equal(rows[:, 1:3], expected)
  np.testing.assert_array_equal(rows[:, 3], rgb)
  grey = rows[:, 0].astype(int)
  assert np.abs(grey - grey.mean(-1, keepdims=True)).max() <= 1


@pytest.mark.slow
def test_colourised_pictures_keep_their_luminance():
  net, params, lab, keys = prepare()
  chroma = 0.3 * draw(net, params, lab, keys)  # muted, so inside the gamut
  rgb = pictures.to_rgb(net, lab.luminance, chroma)[:, 0]
  actual = color.rgb_to_lab(rgb)[..., 0]
  expected = color.luminance_from_network(lab.luminance)[..., 0]
  assert np.median(np.abs(actual - expected)) < 0.3


def test_unknown_method_is_refused():
  net, params, lab, keys = prepare()
  with pytest.raises(ValueError, match="cached.*got 'fast'"):
    sample.sample_chroma(
      net, params, lab.luminance, keys, 1, 1.0, method='fast'
    )


@pytest.mark.slow
@pytest.mark.parametrize('seed', [0, 1, 2])
def test_parallel_ends_at_the_fixed_point_and_not_before(seed):
  """Sharp mixtures: a change of one grid step changes later pixels."""
  net, params, lab, _ = prepare(2, 32, 32)
  params['decoder']['head']['g'] *= 3
  keys = jax.random.split(jax.random.key(seed), 2)
  canvas = draw(net, params, lab, keys, method='parallel')[:, 0]
  theta, _ = jax.jit(net.apply)({'params': params}, lab.luminance, canvas)
  noise = conditions.draw_noise(keys, 1, (16, 16, net.num_components + 2))
  next_canvas = logistic_mixture.sample(theta, lab.luminance_small, noise)
  np.testing.assert_array_equal(next_canvas, canvas)


@pytest.mark.slow
def test_parallel_ends_even_if_parameters_are_not_finite():
  net, params, lab, keys = prepare()
  params['decoder']['head']['b'] *= np.nan
  drawn = jax.jit(
    lambda: draw_samples(net, params, lab, keys, method='parallel')
  )()
  assert drawn.num_passes <= 5 * 7 + sample.PASSES_PER_CHECK


def test_to_rgb_upsamples_with_the_chroma_filter_of_the_model():
  net, _, lab, _ = prepare()
  chroma = lab.chroma[:, None]
  actual = {}
  for chroma_filter in color.CHROMA_FILTERS:
    full = color.upsample(
      color.chroma_from_network(lab.chroma), 2, chroma_filter
    )
    expected = color.lab_to_rgb(
      jnp.concatenate([color.luminance_from_network(lab.luminance), full], -1)
    )
    actual[chroma_filter] = pictures.to_rgb(
      net.clone(chroma_filter=chroma_filter), lab.luminance, chroma
    )[:, 0]
    difference = np.abs(actual[chroma_filter].astype(int) - expected)
    assert difference.max() <= 1
  assert (actual['point'] != actual['area']).any()
