"""Pictures and scores of images, from which the paper's figures are made."""

import functools
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from pic_jax.data import image_source, input_pipeline, sources
from pic_jax.evaluation import metrics
from pic_jax.images import color, image_files, resizing
from pic_jax.model import levels, logistic_mixture, parameters, pic
from pic_jax.runtime import devices, errors, terminal
from pic_jax.sampling import conditions, pictures, sample
from pic_jax.saved import run_config

# Constant L at which figure 6 shows chroma alone.
FLAT_LUMINANCE = 50.0
# Pictures and scores of one image, keyed by name; see `draw_and_score`.
FigureInputs = dict[str, Any]


def draw_and_score(
  config: ml_collections.ConfigDict,
  params: parameters.Params,
  source: image_source.ImageSource,
  *,
  indices: Sequence[int],
) -> Iterator[FigureInputs]:
  """Draws samples of some images, and yields pictures and scores of each image.

  Args:
    config: config with the model and sampling sections.
    params: averaged parameters, replicated over the local devices.
    source: images; see `input_pipeline.open_source`.
    indices: indices of the images in `source`. The samples of an image depend
      on its index and `sampling.seed`, as in --mode=sample.

  Yields:
    A dictionary for each image. A picture is [H, W, 3] uint8, and S pictures
    are [S, H, W, 3], where S is `sampling.num_samples`.

    For every model: pictures 'grey', 'original' and 'flat_sample' (the first
    sample at L = 50); 'samples', S pictures; 'difference', the (a, b)
    distance between two samples, averaged over all pairs; and 'index'.

    If the model has a likelihood: 'bits_per_dim' of the original chroma.

    If the embedding has a likelihood too: 'embedding_samples', S pictures whose
    pixels are independent of each other; pictures 'embedding_mode' and
    'flat_mode' (the mode at L = 50).

    If the model has finer levels: 'maps', pictures [levels + 1, H, W, 3] of the
    first sample on every level, coarsest first, without interpolation.
  """
  model = run_config.build_model(config)
  draw_fn = devices.pmap(
    functools.partial(_draw, model=model, sampling=config.sampling)
  )
  images = np.stack([source[index] for index in indices])
  for rgb, positions, mask in input_pipeline.eval_batches(
    images, devices.round_up(config.sampling.batch_size)
  ):
    source_indices = np.asarray(indices)[positions]
    inputs = draw_fn(params, *devices.shard((rgb, source_indices)))
    inputs = devices.unshard(inputs)
    for row in np.flatnonzero(mask):
      yield {name: x[row] for name, x in inputs.items()} | {
        'index': int(source_indices[row])
      }


def _draw(
  params: parameters.Params,
  rgb: jax.Array,
  indices: jax.Array,
  *,
  model: pic.PIC,
  sampling: ml_collections.ConfigDict,
) -> dict[str, jax.Array]:
  """Computes the entries of `draw_and_score` for a batch, without 'index'.

  Args:
    rgb: [b, H, W, 3] uint8.
    indices: [b] indices of the images in their source.
  """
  lab = model.split_lab(rgb)
  keys = sample.image_keys(sampling.seed, indices)
  spec = conditions.spec_from_config(sampling)
  samples = sample.draw(
    model, params, lab.luminance, keys=keys, spec=spec
  ).chroma
  flat = jnp.full_like(
    lab.luminance, color.luminance_to_network(jnp.asarray(FLAT_LUMINANCE))
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
    embedding_theta = scores.embedding[..., : model.num_outputs]
    luminance_small = model.coarsest_luminance(lab.luminance)
    mode = logistic_mixture.mode(embedding_theta, luminance_small)[:, None]
    independent = sample.sample_independently(
      embedding_theta,
      luminance_small,
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
  """Renders the chroma of every level without interpolation, coarsest first.

  Args:
    model: model with levels.
    luminance: [b, H, W, 1] in network units.
    chroma: [b, h, w, 2], the finest map, in network units.

  Returns:
    Pictures [b, levels + 1, H, W, 3] uint8.
  """
  shape = (*luminance.shape[:3], 2)
  maps = [
    jax.image.resize(level.chroma, shape, 'nearest')
    for level in levels.pyramid(chroma, None, model.levels)
  ]
  return pictures.to_rgb(model, luminance, jnp.stack(maps, 1))


def pictures_of_other_methods(
  config: ml_collections.ConfigDict, folders: Sequence[str]
) -> dict[int, np.ndarray]:
  """Reads the pictures that other methods made of a folder of photographs.

  For a photograph NAME.jpg a method's picture is a file NAME.*, NAME.jpg.*,
  NAME.0.* or NAME.jpg.0.*. If a folder has no picture of a photograph, or a
  damaged one, the photograph is left out, and the reason is printed on stderr.

  Args:
    config: config with the data and sampling sections.
    folders: paths of the methods' folders.

  Returns:
    Pictures [F, H, W, 3] uint8 of the F folders, keyed by the index of the
    photograph. They are resized like the photographs, by `data.resize`. There
    are at most `sampling.num_images` entries; -1 for no limit.

  Raises:
    UserError: if a folder does not exist, `data.name` is not 'folder', or no
      photograph has a picture in every folder.
  """
  if not folders:
    return {}
  problem = errors.UserError(
    '--compare_with needs data from a folder of photographs, '
    f'`data.name=folder`, got {config.data.name!r}.'
  )
  if config.data.name != 'folder':
    raise problem
  source = input_pipeline.open_images(config.data, config.data.test_split)
  if not isinstance(source, sources.FolderSource):
    raise problem
  files_of_folders = {folder: _files_in(folder) for folder in folders}
  others = {}
  for index, photograph in enumerate(source.files):
    if len(others) == config.sampling.num_images:
      break
    try:
      images = [
        _picture_of(photograph, folder, files)
        for folder, files in files_of_folders.items()
      ]
    except errors.RunError as error:
      terminal.say(f'left out: {error}')
      continue
    size, method = config.data.image_size, config.data.resize
    others[index] = np.stack(
      [resizing.fit(image, size, method) for image in images]
    )
  if not others:
    raise errors.UserError(
      f'No photograph of {config.data.data_dir} has a picture in each of '
      f'{", ".join(folders)}.'
    )
  return others


def _files_in(folder: str) -> dict[str, pathlib.Path]:
  """Returns the paths of the files in a folder, keyed by name and by stem.

  Raises:
    UserError: if the folder does not exist.
  """
  if not os.path.isdir(folder):
    raise errors.UserError(f'--compare_with: {folder} is not a folder.')
  # Later entries replace earlier ones, so the alphabetically first of several
  # files with the same stem is kept.
  paths = sorted(pathlib.Path(folder).iterdir(), reverse=True)
  by_stem = {path.stem: path for path in paths}
  return by_stem | {path.name: path for path in paths}


def _picture_of(
  photograph: pathlib.Path, folder: str, files: dict[str, pathlib.Path]
) -> np.ndarray:
  """Reads the picture of a photograph from a method's folder.

  Args:
    photograph: path of the photograph.
    folder: path of the method's folder.
    files: result of `_files_in` for `folder`.

  Raises:
    RunError: if there is no such picture, or it is damaged.
  """
  name, stem = photograph.name, photograph.stem
  for candidate in (name, stem, f'{name}.0', f'{stem}.0'):
    if candidate in files:
      return image_files.load_image(files[candidate])
  raise errors.RunError(
    f'{errors.in_one_line(folder)} has no picture of '
    f'{errors.in_one_line(name)}. Name the picture {stem}.* or {stem}.0.*.'
  )
