"""Tiny models, images and configs that several tests share."""

import importlib
import pathlib

import ml_collections
import numpy as np
from PIL import Image

from pic_jax.model import parameters, pic
from pic_jax.saved import run_config

# Fields of a tiny `PIC`.
MODEL = dict(
  embedding_stages=((6, 1, 1, 1), (8, 2, 1, 2)),
  embedding_features=24,
  decoder_features=6,
  decoder_blocks=2,
  num_components=2,
  dropout_rate=0.5,
)
# Names of all configs except `trained`, which loads the config of a model.
CONFIGS = sorted(
  path.stem
  for path in (pathlib.Path(__file__).parents[1] / 'configs').glob('*.py')
  if path.stem != 'trained'
)


def images(count=4, height=10, width=14, seed=0) -> np.ndarray:
  """Draws 3 x 3 blocks of muted colours with a little noise.

  Returns:
    Images [count, height, width, 3] uint8.
  """
  rng = np.random.default_rng(seed)
  blocks = rng.uniform(0, 255, (count, 3, 3, 1))
  blocks = blocks + rng.normal(0, 15, (count, 3, 3, 3))
  rows = np.linspace(0, 2, height).round().astype(int)
  cols = np.linspace(0, 2, width).round().astype(int)
  noise = rng.normal(0, 3, (count, height, width, 3))
  return np.clip(blocks[:, rows][:, :, cols] + noise, 0, 255).astype(np.uint8)


def net(**changes) -> pic.PIC:
  """Builds a tiny PIC; `changes` replace fields of `MODEL`."""
  return pic.PIC(**MODEL | changes)


def trained_like(net: pic.PIC, batch: pic.LabBatch, seed=0) -> dict:
  """Initialises parameters; large output gains make theta vary over the map."""
  params = parameters.initial(net, batch, seed)
  params['decoder']['head']['g'] *= 10
  return params


def untrained_model() -> tuple[dict, ml_collections.ConfigDict]:
  """Returns `trained_like` parameters and a config, for 8 x 8 images."""
  result = config('smoke')
  with result.unlocked():
    result.data.image_size = 8
    result.model.update(MODEL)
  model = run_config.build_model(result)
  batch = model.split_lab(images(4, 8, 8))
  return trained_like(model, batch), result


def model_with_levels(**changes) -> tuple[dict, ml_collections.ConfigDict]:
  """Returns `trained_like` parameters and a config, for 16 x 16 images.

  The model reads hints and has one finer level. `changes` replace its fields.
  """
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
  model = run_config.build_model(result)
  batch = model.split_lab(images(4, 16, 16))
  return trained_like(model, batch), result


def hinted_model() -> tuple[dict, ml_collections.ConfigDict]:
  """Returns `untrained_model` with a random kernel that reads hints."""
  params, result = untrained_model()
  result.model.hint_share = 0.5
  kernel = np.random.default_rng(0).normal(0, 1, (3, 3, 3, 8))
  params['embedding']['hints'] = kernel.astype(np.float32)
  return params, result


def write_folder(folder, count: int, size=(20, 16)) -> None:
  """Writes images of different sizes as PNG files.

  Args:
    folder: path of the folder.
    count: number of images.
    size: smallest width and height in pixels; some images are 1 or 2 larger.
  """
  folder.mkdir(parents=True, exist_ok=True)
  for index in range(count):
    width, height = size[0] + index % 3, size[1] + index % 2
    rgb = images(1, height, width, seed=index)[0]
    Image.fromarray(rgb).save(folder / f'{index:03d}.png')


def config(name: str) -> ml_collections.ConfigDict:
  """Returns the config `configs/<name>.py`."""
  return importlib.import_module(f'configs.{name}').get_config()


def narrow_config(name: str, folder) -> ml_collections.ConfigDict:
  """Returns a narrow and shallow form of a config, for a folder of images."""
  result = config(name)
  result.data.name = 'folder'
  result.data.data_dir = str(folder)
  result.data.train_split = 'train[:16]'
  result.data.validation_split = 'train[16:]'
  result.data.test_split = 'train[16:]'
  total_stride = 1
  for _, stride, _, _ in result.model.embedding_stages:
    total_stride *= stride
  result.data.image_size = 4 * total_stride
  result.model.embedding_stages = tuple(
    (4, stride, min(blocks, 1), dilation)
    for _, stride, blocks, dilation in result.model.embedding_stages
  )
  # A classification needs one feature for each of its 260 bins.
  is_classification = result.model.head == 'classification'
  result.model.embedding_features = 260 if is_classification else 24
  result.model.decoder_features = 4
  result.model.decoder_blocks = 1
  result.model.num_components = 2
  result.model.backbone = 'none'  # a backbone cannot be narrower
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
