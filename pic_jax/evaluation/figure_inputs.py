"""Inputs of the paper's figures: samples, modes and scores of images."""

import functools
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from pic_jax.data import input_pipeline
from pic_jax.evaluation import metrics
from pic_jax.images import color, image_files, resizing
from pic_jax.model import levels, logistic_mixture, parameters, pic
from pic_jax.runtime import devices, errors, terminal
from pic_jax.sampling import conditions, pictures, sample
from pic_jax.saved import run_config

# L under which figure 6 shows chroma by itself.
FLAT_LUMINANCE = 50.0


FigureInputs = dict[str, Any]  # what `draw_and_score` gives for an image


def draw_and_score(
  config: ml_collections.ConfigDict,
  params: parameters.Params,
  source: Sequence[np.ndarray],
  *,
  indices: Sequence[int],
) -> Iterator[FigureInputs]:
  """Draws and scores some images of a source, one after another.

  Args:
    config: of the model and of sampling.
    params: replicated (averaged) parameters.
    source: see `input_pipeline.open_source`.
    indices: which images; an image's samples depend on its number and
      `sampling.seed`, as in --mode=sample.

  Yields:
    For each image, with S = `sampling.num_samples`, [..., H, W, 3] uint8:
    'grey', 'original', 'samples' [S], 'flat_sample' (chroma at L = 50);
    'difference': mean distance of two samples in (a, b); 'index'. Where the
    embedding has a likelihood: 'embedding_samples' [S] (every pixel
    independent of the others), 'embedding_mode', 'flat_mode'. Where the model
    has one: 'bits_per_dim' of the original chroma. Where it has finer levels:
    'maps' [levels + 1], the first sample's map of each level, as cells.
  """
  model = run_config.build_model(config)
  draw = devices.pmap(
    functools.partial(_draw, model=model, sampling=config.sampling)
  )
  chosen = np.stack([source[index] for index in indices])
  for rgb, places, mask in input_pipeline.eval_batches(
    chosen, devices.round_up(config.sampling.batch_size)
  ):
    numbers = np.asarray(indices)[places]
    found = draw(params, *devices.shard((rgb, numbers)))
    found = devices.unshard(found)
    for place in np.flatnonzero(mask):
      yield {name: x[place] for name, x in found.items()} | {
        'index': int(numbers[place])
      }


def _draw(
  params: parameters.Params,
  rgb: jax.Array,
  numbers: jax.Array,
  *,
  model: pic.PIC,
  sampling: ml_collections.ConfigDict,
) -> dict[str, jax.Array]:
  """Computes `draw_and_score` of images [b, H, W, 3] with numbers [b]."""
  lab = model.split_lab(rgb)
  keys = sample.image_keys(sampling.seed, numbers)
  spec = conditions.spec_from_config(sampling)
  samples = sample.draw(
    model, params, lab.luminance, keys=keys, spec=spec
  ).chroma
  flat = jnp.full_like(
    lab.luminance, color.luminance_to_network(FLAT_LUMINANCE)
  )
  inputs = {
    'grey': pictures.grey_picture(model, lab),
    'original': rgb,
    'samples': pictures.to_rgb(model, lab.luminance, samples),
    'flat_sample': pictures.to_rgb(model, flat, samples[:, :1])[:, 0],
    'difference': metrics.pairwise_difference(
      color.chroma_from_network(samples)
    ),
  }
  if model.levels:
    inputs['maps'] = _maps(model, lab.luminance, samples[:, 0])
  if not model.has_likelihood:
    return inputs
  scores = model.apply(
    {'params': params}, lab.luminance, lab.chroma, method='score'
  )
  log_prob = scores.on_finest_grid()
  inputs['bits_per_dim'] = logistic_mixture.bits_per_dim(log_prob)
  if model.embedding_has_likelihood:
    own = scores.embedding[..., : model.num_outputs]
    small = model.coarsest_luminance(lab.luminance)
    mode = logistic_mixture.mode(own, small)[:, None]
    independent = sample.sample_independently(
      own,
      small,
      keys=keys,
      num_samples=sampling.num_samples,
      temperature=sampling.temperature,
    )
    inputs |= {
      'embedding_samples': pictures.to_rgb(model, lab.luminance, independent),
      'embedding_mode': pictures.to_rgb(model, lab.luminance, mode)[:, 0],
      'flat_mode': pictures.to_rgb(model, flat, mode)[:, 0],
    }
  return inputs


def _maps(model: pic.PIC, luminance: jax.Array, chroma: jax.Array) -> jax.Array:
  """Shows every level of chroma [b, h, w, 2], coarsest first, as flat cells."""
  shape = (*luminance.shape[:3], 2)
  maps = [
    jax.image.resize(level.chroma, shape, 'nearest')
    for level in levels.pyramid(chroma, None, model.levels)
  ]
  return pictures.to_rgb(model, luminance, jnp.stack(maps, 1))


def pictures_of_others(
  config: ml_collections.ConfigDict, folders: Sequence[str]
) -> dict[int, np.ndarray]:
  """Reads other methods' pictures of the photographs of `data.name=folder`.

  Args:
    config: of the data and of sampling.
    folders: one for each method, with NAME.* or NAME.0.* (with or without its
      own ending) for a photograph; a photograph that has no picture in some
      folder is named on stderr and left out.

  Returns:
    By the number of the image, at most `sampling.num_images` of them:
    [folders, H, W, 3] uint8, fitted as the photographs are.

  Raises:
    UserError: no such folder, or no photograph has a picture in each.
  """
  if not folders:
    return {}
  if config.data.name != 'folder':
    raise errors.UserError(
      '--compare_with needs `data.name=folder`, the photographs, '
      f'got {config.data.name!r}.'
    )
  files = {}
  for name in folders:
    if not os.path.isdir(name):
      raise errors.UserError(f'--compare_with: {name}: no such folder.')
    inside = sorted(pathlib.Path(name).iterdir(), reverse=True)
    files[name] = {path.stem: path for path in inside}
    files[name] |= {path.name: path for path in inside}
  found = {}
  source = input_pipeline.open_images(config.data, config.data.test_split)
  for index, photograph in enumerate(source.files):
    if len(found) == config.sampling.num_images:
      break
    try:
      pictures = [_picture_of(photograph, *item) for item in files.items()]
    except errors.RunError as error:
      terminal.say(f'left out: {error}')
      continue
    size, method = config.data.image_size, config.data.resize
    found[index] = np.stack(
      [resizing.fit(picture, size, method) for picture in pictures]
    )
  if not found:
    raise errors.UserError(
      f'No photograph of {config.data.data_dir} has a picture in each of '
      f'{", ".join(folders)}.'
    )
  return found


def _picture_of(
  photograph: pathlib.Path, folder: str, files: dict[str, pathlib.Path]
) -> np.ndarray:
  """A method's picture; `RunError` if there is none, or it is damaged."""
  name, stem = photograph.name, photograph.stem
  for candidate in (name, stem, f'{name}.0', f'{stem}.0'):
    if candidate in files:
      return image_files.load_image(files[candidate])
  raise errors.RunError(
    f'{errors.in_one_line(folder)} has no picture of '
    f'{errors.in_one_line(name)}, neither by this name nor by that of sample 0.'
  )
