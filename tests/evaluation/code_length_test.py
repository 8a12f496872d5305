"""Codes are as long as the likelihood predicts, and are decoded exactly."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pic_jax.data import input_pipeline
from pic_jax.evaluation import code_length
from pic_jax.model import logistic_mixture, parameters
from pic_jax.runtime import devices, errors
from pic_jax.saved import run_config, trained_model
from tests import tiny

WORD_BYTES = 4  # by which the code of a batch may be too long


def test_probabilities_agree_with_the_likelihood():
  """Those of a equal the sums of exp(log_prob) over b."""
  theta = jax.random.normal(jax.random.key(0), (3, 16))
  levels = (jnp.arange(256) - 127.5) * (1 / 127.5)
  chroma = jnp.stack(jnp.meshgrid(levels, levels, indexing='ij'), -1)
  luminance = jnp.array([[-0.9], [0.1], [0.6]])
  mixture = logistic_mixture.unpack(theta)
  mean_a, _ = logistic_mixture.conditional_means(mixture, luminance, luminance)
  actual = jax.jit(code_length.probabilities)(
    mixture.logits, mean_a, mixture.log_scales[:, 0]
  )
  expected = jax.jit(
    lambda: jnp.exp(
      logistic_mixture.log_prob(
        theta[:, None, None], luminance[:, None, None], chroma[None]
      )
    ).sum(2)
  )()
  np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-8)
  np.testing.assert_allclose(actual.sum(1), 1, rtol=1e-5)


@pytest.fixture(scope='module')
def tiny_model():
  """A model and five images, in batches of three; the last batch is padded."""
  _, config = tiny.untrained_model()
  config.sampling.batch_size = 3
  model = run_config.build_model(config)
  rgb = tiny.images(5, 8, 8)
  params = parameters.initial(model, model.split_lab(rgb), 0)
  return config, params, rgb


@pytest.mark.slow
def test_a_code_is_as_long_as_predicted_and_is_decoded(tiny_model):
  config, params, rgb = tiny_model
  report = code_length.measure(
    config, devices.replicate(params), rgb, num_images=-1
  )
  assert report['num_coded_images'] == report['num_decoded_exactly'] == 5
  excess = report['code_bytes'] - report['likelihood_bytes']
  assert -1 < excess < 2 * WORD_BYTES  # two batches
  text = code_length.to_text(report)
  assert f'{report["code_bytes"]} bytes' in text and '5 decoded' in text


@pytest.mark.slow
def test_finer_levels_are_coded_and_decoded_too():
  _, config = tiny.untrained_model()
  config.sampling.batch_size = 3
  config.model.levels, config.model.chroma_factor = 2, 1
  config.model.level_features, config.model.level_blocks = 5, 1
  config.model.chroma_filter = 'area'
  config.model.embedding_stages = ((6, 2, 1, 1), (8, 2, 1, 2))
  model = run_config.build_model(config)
  # The images are smooth, because an untrained model finds the values of rough
  # images too improbable for the coder's tables.
  ramp = np.arange(8) // 2
  rgb = (120 + ramp[:, None, None] + np.array([9, 0, 20])) * np.ones((8, 1))
  rgb = np.stack([rgb, rgb[::-1], rgb + 30]).astype(np.uint8)
  params = parameters.initial(model, model.split_lab(tiny.images(4, 8, 8)), 0)
  report = code_length.measure(
    config, devices.replicate(params), rgb, num_images=-1
  )
  assert report['num_decoded_exactly'] == 3
  ratio = (report['code_bytes'] - WORD_BYTES) / report['likelihood_bytes']
  assert abs(ratio - 1) < 0.01


@pytest.mark.slow
def test_a_flipped_bit_or_another_luminance_gives_another_chroma(tiny_model):
  config, params, rgb = tiny_model
  model = run_config.build_model(config)
  coder, lab = code_length.Coder(model), model.split_lab(rgb[:3])
  luminances = lab.luminance, lab.luminance_small
  mask = np.array([1, 1, 0], bool)
  code = coder.encode(params, luminances, np.asarray(lab.chroma), mask=mask)

  def is_decoded(code, luminances):
    found = coder.decode(params, luminances, code, mask=mask)
    return (found == lab.chroma)[:2].all()

  assert is_decoded(code, luminances)
  # The lowest bit of the second word.
  flipped_bit = np.eye(1, len(code), 1, dtype=np.uint32)[0]
  assert not is_decoded(code ^ flipped_bit, luminances)
  assert not is_decoded(code, [0.9 * x for x in luminances])


@pytest.mark.slow
def test_photographs_are_coded_within_half_a_percent():
  """Codes patches of the photographs in photos/ with a published model."""
  params, config, _ = trained_model.load_trained('cifar10')
  config.sampling.batch_size = 8
  config.data.name, config.data.data_dir = 'patches', 'photos'
  source = input_pipeline.open_images(config.data, 'test')
  report = code_length.measure(
    config, devices.replicate(params), source, num_images=8
  )
  assert report['num_decoded_exactly'] == 8
  ratio = (report['code_bytes'] - WORD_BYTES) / report['likelihood_bytes']
  assert abs(ratio - 1) < 0.005


def test_what_cannot_be_coded_is_refused_in_one_line(monkeypatch):
  _, config = tiny.untrained_model()
  config.model.head = 'mixture'
  with pytest.raises(errors.UserError, match='`model.head=decoder`'):
    code_length.check(config)
  monkeypatch.setitem(sys.modules, 'constriction', None)
  with pytest.raises(errors.UserError, match='pip install.*constriction'):
    code_length.check(config)
