"""Tiny models, images and configs that several tests share."""

import importlib
import pathlib

import ml_collections
import numpy as np
from PIL import Image

from pic_jax.model import parameters, pic
from pic_jax.saved import run_config

MODEL = dict(
  embedding_stages=((6, 1, 1, 1), (8, 2, 1, 2)),
  embedding_features=24,
  decoder_features=6,
  decoder_blocks=2,
  num_components=2,
  dropout_rate=0.5,
)
CONFIGS = sorted(
  path.stem
  for path in (pathlib.Path(__file__).parents[1] / 'configs').glob('*.py')
  if path.stem != 'trained'
)


def images(count=4, height=10, width=14, seed=0) -> np.ndarray:
  """Muted smooth random colours, [count, height, width, 3] uint8."""
  rng = np.random.default_rng(seed)
  small = rng.uniform(0, 255, (count, 3, 3, 1))
  small = small + rng.normal(0, 15, (count, 3, 3, 3))
  rows = np.linspace(0, 2, height).round().astype(int)
  cols = np.linspace(0, 2, width).round().astype(int)
  noise = rng.normal(0, 3, (count, height, width, 3))
  return np.clip(small[:, rows][:, :, cols] + noise, 0, 255).astype(np.uint8)


def net(**changes) -> pic.PIC:
  """A small PIC."""
  return pic.PIC(**MODEL | changes)


def trained_like(net: pic.PIC, batch: pic.LabBatch, seed=0) -> dict:
  """Initial parameters, shaken so that theta varies over the map."""
  params = parameters.initial(net, batch, seed)
  params['decoder']['head']['g'] *= 10
  return params


def shaken_model() -> tuple[dict, ml_collections.ConfigDict]:
  """Parameters and config of a PIC for 8 x 8, not trained; samples differ."""
  result = config('smoke')
  with result.unlocked():
    result.data.image_size = 8
    result.model.update(MODEL)
  small = run_config.build_model(result)
  batch = small.split_lab(images(4, 8, 8))
  return trained_like(small, batch), result


def levelled_model(**changes) -> tuple[dict, ml_collections.ConfigDict]:
  """Parameters and config of a PIC for 16 x 16 with hints and a finer level."""
  result = config('smoke')
  with result.unlocked():
    result.data.image_size = 16
    result.model.update(
      MODEL
      | dict(
        levels=1,
        level_features=5,
        level_blocks=1,
        chroma_factor=2,
        chroma_filter='area',
        hint_share=0.5,
      )
      | changes
    )
  small = run_config.build_model(result)
  batch = small.split_lab(images(4, 16, 16))
  return trained_like(small, batch), result


def hinted_model() -> tuple[dict, ml_collections.ConfigDict]:
  """`shaken_model`, but it reads hints, with random weights for them."""
  params, result = shaken_model()
  result.model.hint_share = 0.5
  kernel = np.random.default_rng(0).normal(0, 1, (3, 3, 3, 8))
  params['embedding']['hints'] = kernel.astype(np.float32)
  return params, result


def write_folder(folder, count: int, size=(20, 16)) -> None:
  """Writes images of different sizes as PNG files."""
  folder.mkdir(parents=True, exist_ok=True)
  for index in range(count):
    width, height = size[0] + index % 3, size[1] + index % 2
    rgb = images(1, height, width, seed=index)[0]
    Image.fromarray(rgb).save(folder / f'{index:03d}.png')


def config(name: str) -> ml_collections.ConfigDict:
  """The config of this name, as the repository ships it."""
  return importlib.import_module(f'configs.{name}').get_config()


def narrow_config(name: str, folder) -> ml_collections.ConfigDict:
  """The config of this name, but narrow and shallow, on a folder of images."""
  result = config(name)
  result.data.name = 'folder'
  result.data.data_dir = str(folder)
  result.data.train_split = 'train[:16]'
  result.data.validation_split = 'train[16:]'
  result.data.test_split = 'train[16:]'
  factor = 1
  for _, stride, _, _ in result.model.embedding_stages:
    factor *= stride
  result.data.image_size = 4 * factor
  result.model.embedding_stages = tuple(
    (4, stride, min(blocks, 1), dilation)
    for _, stride, blocks, dilation in result.model.embedding_stages
  )
  # Wide enough for the 260 bins of a classification.
  wide = result.model.head == 'classification'
  result.model.embedding_features = 260 if wide else 24
  result.model.decoder_features = 4
  result.model.decoder_blocks = 1
  result.model.num_components = 2
  result.model.backbone = 'none'  # which has no narrower form
  result.data.mixture = ()
  training = result.training
  training.init_from = training.backbone_weights = ''
  training.batch_size = 8
  training.num_steps = 3
  training.log_every_steps = 1
  training.checkpoint_every_steps = 1
  training.num_checkpoints = 10
  training.eval_every_steps = 0
  training.sample_every_steps = 0
  result.evaluation.batch_size = 8
  result.sampling.num_images = 2
  result.sampling.num_samples = 2
  return result
