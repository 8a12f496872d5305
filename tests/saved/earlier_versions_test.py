"""Files that earlier versions wrote are still read."""

import json
import pathlib
import shutil

import numpy as np
import pytest

from pic_jax.data import input_pipeline
from pic_jax.evaluation import likelihood
from pic_jax.runtime import devices, errors
from pic_jax.saved import (
  checkpoints,
  earlier_versions,
  recommended_sampling,
  run_config,
  trained_model,
)
from pic_jax.training import loop
from tests import tiny

# Files that commit 53901bf (0.1) wrote: a run of a narrow configs/smoke.py
# after three steps on 8 CPU devices, its exported weights, and the scores of
# its test split. `LOSSES` has that version's losses of the next two steps.
FOLDER = pathlib.Path(__file__).parent / 'written_at_53901bf'
LOSSES = {4: 14.928114, 5: 14.027596}


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
  """Writes the images that the run was trained and evaluated on."""
  folder = tmp_path_factory.mktemp('pictures')
  tiny.write_folder(folder, 20)
  return str(folder)


@pytest.mark.parametrize(
  'name,atol', [('workdir', 1e-5), ('smoke.safetensors', 1e-2)]
)
def test_a_model_of_an_earlier_version_has_the_same_scores(
  name, atol, pictures
):
  params, config, step = trained_model.load_trained(str(FOLDER / name))
  assert step == 3 and config.model.chroma_filter == 'area'
  config.unlock()
  config.data.data_dir = pictures
  source = input_pipeline.open_test(config)
  report = likelihood.evaluate(
    config, devices.replicate(params), source, num_images=-1
  )
  expected = json.loads((FOLDER / 'eval.json').read_text(encoding='utf-8'))
  for score in ('bits_per_dim', 'bits_per_dim_paper', 'embedding_bits_per_dim'):
    assert report[score] == pytest.approx(expected[score], abs=atol)


@pytest.mark.slow
def test_a_run_of_an_earlier_version_resumes_with_the_same_losses(
  pictures, tmp_path
):
  workdir = shutil.copytree(FOLDER / 'workdir', tmp_path / 'workdir')
  tree, _ = checkpoints.restore(str(workdir))  # also compares every digest
  assert int(tree['opt_state']['0']['count']) == 3
  text = (workdir / run_config.CONFIG_FILE).read_text(encoding='utf-8')
  config = run_config.from_json(text)
  config.unlock()
  config.data.data_dir = pictures
  config.training.num_steps = 5
  loop.train_and_evaluate(config, str(workdir))
  lines = (workdir / 'metrics.jsonl').read_text(encoding='utf-8').splitlines()
  records = [json.loads(line) for line in lines]
  losses = {r['step']: r['loss'] for r in records if 'loss' in r}
  for step, loss in LOSSES.items():
    np.testing.assert_allclose(losses[step], loss, rtol=1e-4)


@pytest.mark.parametrize(
  'estimate,head',
  [('median', 'classification_median'), ('annealed_mean', 'classification')],
)
def test_the_point_estimate_of_an_earlier_version_becomes_part_of_the_head(
  estimate, head
):
  text = (FOLDER / 'workdir' / run_config.CONFIG_FILE).read_text()
  stored = json.loads(text)
  stored['model'] |= {
    'head': 'classification',
    'point_estimate': estimate,
    'embedding_features': 260,
    'embedding_loss_weight': 0.0,
  }
  config = run_config.from_json(json.dumps(stored))
  assert config.model.head == head
  assert 'point_estimate' not in config.model


def test_recommended_sampling_is_read_where_earlier_versions_kept_it(tmp_path):
  stored = json.loads((FOLDER / 'workdir' / run_config.CONFIG_FILE).read_text())
  stored['sampling'] |= {'photo_temperature': 0.8, 'photo_guidance': 0.1}
  (tmp_path / run_config.CONFIG_FILE).write_text(json.dumps(stored))
  found = trained_model.load_recommended(str(tmp_path))
  assert (found.temperature, found.guidance) == (0.8, 0.1)
  assert (
    'photo_guidance' not in run_config.from_json(json.dumps(stored)).sampling
  )
  missing = trained_model.load_recommended(str(tmp_path / 'none'))
  assert missing == recommended_sampling.RecommendedSampling()


def test_a_removed_order_of_the_decoder_is_refused():
  stored = json.loads(run_config.to_json(tiny.config('smoke')))
  stored['model']['decoder_order'] = 'raster'
  earlier_versions.upgrade(stored)
  assert 'decoder_order' not in stored['model']
  stored['model']['decoder_order'] = 'coarse_first'
  with pytest.raises(errors.UserError, match='coarse_first` was removed'):
    earlier_versions.upgrade(stored)
