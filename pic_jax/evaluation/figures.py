"""The figures of the paper, made from random images of the test split."""

import functools
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ml_collections
import numpy as np

from pic_jax.data import input_pipeline
from pic_jax.evaluation import figure_inputs, learning_curve
from pic_jax.images import image_files, tiling
from pic_jax.model import parameters
from pic_jax.runtime import devices, errors, paths, terminal
from pic_jax.saved import run_config

# The figures in `SHOW_EXTREMES` select their rows from a random pool of images.
# This is the size of the pool, divided by the number of rows.
POOL_PER_ROW = 8

FigureInputs = figure_inputs.FigureInputs
Trained = tuple[Any, ml_collections.ConfigDict]  # averaged parameters, config


def _columns(image: FigureInputs, *names: str) -> np.ndarray:
  """Joins pictures and stacks of pictures into one row [columns, H, W, 3]."""
  parts = [image[name] for name in names]
  return np.concatenate([x[None] if x.ndim == 3 else x for x in parts])


def to_rows(inputs: Sequence[FigureInputs], *names: str) -> np.ndarray:
  """Builds a table with one row for each image.

  Args:
    inputs: pictures and scores of the images.
    *names: keys of the pictures that form the columns.

  Returns:
    Pictures [rows, columns, H, W, 3] uint8.
  """
  return np.stack([_columns(image, *names) for image in inputs])


def pixelwise(inputs: Sequence[FigureInputs], num_rows: int) -> np.ndarray:
  """Builds figure 1: samples of the embedding, each pixel independently."""
  return to_rows(inputs[:num_rows], 'grey', 'embedding_samples', 'original')


def grid(inputs: Sequence[FigureInputs], num_rows: int) -> np.ndarray:
  """Builds figures 3, 9 and 10: samples on the left, originals on the right."""
  return to_rows(inputs[:num_rows], 'samples', 'original')


def diversity(inputs: Sequence[FigureInputs], num_rows: int) -> np.ndarray:
  """Builds figure 4: images with the most, then the least diverse samples."""
  ranked = sorted(inputs, key=lambda image: -image['difference'])
  half = num_rows // 2
  chosen = ranked[: num_rows - half] + ranked[len(ranked) - half :]
  return to_rows(chosen, 'grey', 'samples', 'original')


def failures(inputs: Sequence[FigureInputs], num_rows: int) -> np.ndarray:
  """Builds figure 5: images with failures.

  The first half of the rows shows the images with the most bits/dim. The second
  half shows those of the remaining images whose samples differ most.
  """
  by_bits = sorted(inputs, key=lambda image: -image['bits_per_dim'])
  chosen = by_bits[: num_rows - num_rows // 2]
  chosen_indices = {image['index'] for image in chosen}
  by_difference = sorted(inputs, key=lambda image: -image['difference'])
  remaining = [x for x in by_difference if x['index'] not in chosen_indices]
  chosen += remaining[: num_rows // 2]
  return to_rows(chosen, 'grey', 'samples', 'original')


def ablation(inputs: Sequence[FigureInputs], num_rows: int) -> np.ndarray:
  """Builds figure 6: the embedding's mode against a sample of PIC.

  The columns are grey | the mode | chroma of the mode | the sample | chroma of
  the sample | original. Chroma is shown at L = 50.
  """
  inputs = [
    image | {'sample': image['samples'][0]} for image in inputs[:num_rows]
  ]
  return to_rows(
    inputs,
    'grey',
    'embedding_mode',
    'flat_mode',
    'sample',
    'flat_sample',
    'original',
  )


def levels(inputs: Sequence[FigureInputs], num_rows: int) -> np.ndarray:
  """Builds a figure of one sample on every level.

  The columns are grey | the levels without interpolation, coarsest first | the
  sample | original. The paper has no such figure.
  """
  inputs = [
    image | {'sample': image['samples'][0]} for image in inputs[:num_rows]
  ]
  return to_rows(inputs, 'grey', 'maps', 'sample', 'original')


FIGURES: dict[str, Callable[[Sequence[FigureInputs], int], np.ndarray]] = {
  'pixelwise': pixelwise,
  'grid': grid,
  'diversity': diversity,
  'failures': failures,
  'ablation': ablation,
  'levels': levels,
}
# Figures that show the most extreme images of a pool, see `POOL_PER_ROW`.
SHOW_EXTREMES = ('diversity', 'failures')
# Figures that need an embedding with a likelihood.
NEED_EMBEDDING_LIKELIHOOD = ('pixelwise', 'ablation')


def make_all(
  names: Sequence[str],
  trained: Sequence[Trained],
  folder: pathlib.Path,
  *,
  compare_with: str = '',
) -> Iterator[pathlib.Path]:
  """Writes all figures that the models allow, and says why others are missing.

  Args:
    names: names of the models, as --checkpoint gives them. Only workdirs have
      a learning curve.
    trained: one model for all figures but figure 7, or several for figure 7.
      The config of the first model sets the number of rows
      (`sampling.num_images`), the number of samples in a row
      (`sampling.num_samples`), and the seed that selects the images and the
      samples (`sampling.seed`).
    folder: folder of the PNG files.
    compare_with: folders of other methods' pictures for figure 8, separated by
      commas; '' if there are several models.

  Yields:
    The path of each figure, after it is written.

  Raises:
    UserError: see `figure_inputs.pictures_of_other_methods`; or if the test
      split cannot be opened; or if there are several models and `compare_with`.
  """
  if compare_with and len(trained) > 1:
    raise errors.UserError(
      f'--compare_with needs one model, got {len(trained)}; pass one '
      '--checkpoint.'
    )
  folders = paths.split(compare_with) if compare_with else []
  rows_fns = {'compare': functools.partial(models, trained)}
  if len(trained) == 1:
    rows_fns = _figures_of_model(*trained[0], folders)
  write_fns = {
    name: functools.partial(_save, rows_fn)
    for name, rows_fn in rows_fns.items()
  }
  write_fns['curve'] = functools.partial(
    learning_curve.plot, [pathlib.Path(name) for name in names]
  )
  for name, write in write_fns.items():
    path = folder / f'{name}.png'
    try:
      write(path)
    except errors.UserError as error:
      terminal.say(f'No {path.name}: {error}')
    else:
      yield path


def _save(rows_fn: Callable[[], np.ndarray], path: pathlib.Path) -> None:
  image_files.save_image(path, tiling.tile(rows_fn()))


def _figures_of_model(
  params: parameters.Params,
  config: ml_collections.ConfigDict,
  folders: Sequence[str],
) -> dict[str, Callable[[], np.ndarray]]:
  """Draws all samples for the figures of one model.

  Returns:
    For each figure a function that builds its rows [rows, columns, H, W, 3]
    uint8, keyed by name.
  """
  model = run_config.build_model(config)
  others = figure_inputs.pictures_of_other_methods(config, folders)
  source = input_pipeline.open_test(config)
  num_rows = number_of_rows(config, len(source))
  count = num_rows * (POOL_PER_ROW if model.has_likelihood else 1)
  pool = random_indices(config, len(source), count)
  inputs = {
    image['index']: image
    for image in figure_inputs.draw_and_score(
      config,
      devices.replicate(params),
      source,
      indices=list(dict.fromkeys([*pool, *others])),
    )
  }

  def rows(figure: str) -> np.ndarray:
    if (
      figure in NEED_EMBEDDING_LIKELIHOOD and not model.embedding_has_likelihood
    ):
      raise errors.UserError(
        'the embedding has no likelihood of its own, because it was trained '
        'with `model.embedding_loss_weight` = 0.'
      )
    if figure == 'levels' and not model.levels:
      raise errors.UserError('the model has no finer levels (`model.levels`).')
    if figure in SHOW_EXTREMES and not model.has_likelihood:
      raise errors.UserError(f'`model.head={model.head}` has no likelihood.')
    return FIGURES[figure]([inputs[index] for index in pool], num_rows)

  rows_fns = {name: functools.partial(rows, name) for name in FIGURES}
  if others:
    rows_fns['compare_folders'] = functools.partial(methods, inputs, others)
  return rows_fns


def random_indices(
  config: ml_collections.ConfigDict, length: int, count: int
) -> list[int]:
  """Selects `count` of `length` images at random, seeded by `sampling.seed`."""
  rng = np.random.default_rng(config.sampling.seed)
  return rng.permutation(length)[:count].tolist()


def number_of_rows(config: ml_collections.ConfigDict, length: int) -> int:
  """Returns `sampling.num_images`, but at most the number `length` of images.

  The setting -1 stands for all images.
  """
  num_images = config.sampling.num_images
  return length if num_images < 0 else min(num_images, length)


def models(trained: Sequence[Trained]) -> np.ndarray:
  """Builds figure 7: samples of several models from the same noise.

  The columns are grey | the samples of each model | original.

  Raises:
    UserError: if images, chroma or noise of the models differ in shape.
  """
  config = trained[0][1]
  for _, model_config in trained:
    check_alike(config, model_config)
  source = input_pipeline.open_test(config)
  num_rows = number_of_rows(config, len(source))
  indices = random_indices(config, len(source), num_rows)
  columns = []
  for params, model_config in trained:
    model_config = model_config.copy_and_resolve_references()
    with model_config.unlocked():
      model_config.sampling = config.sampling
    inputs = list(
      figure_inputs.draw_and_score(
        model_config, devices.replicate(params), source, indices=indices
      )
    )
    columns.append(to_rows(inputs, 'samples'))
  columns = [to_rows(inputs, 'grey'), *columns, to_rows(inputs, 'original')]
  return np.concatenate(columns, 1)


def check_alike(*configs: ml_collections.ConfigDict) -> None:
  """Checks that images, chroma and noise of several models have the same shape.

  Raises:
    UserError: if the shapes differ.
  """
  nets = [run_config.build_model(config) for config in configs]
  for name, values in {
    '`data.image_size`': [config.data.image_size for config in configs],
    'chroma factor': [net.chroma_factor for net in nets],
    '`model.num_components`': [net.num_components for net in nets],
  }.items():
    if len(set(values)) > 1:
      raise errors.UserError(
        f'All models of --checkpoint must have the same {name}, got '
        f'{values[0]} and {values[1]}.'
      )


def methods(
  inputs: dict[int, FigureInputs], others: dict[int, np.ndarray]
) -> np.ndarray:
  """Builds figure 8: our model and other methods side by side.

  The columns are grey | our first sample | the other methods' pictures |
  original.

  Args:
    inputs: pictures and scores of our model, keyed by the index of the image.
    others: pictures of the other methods; see
      `figure_inputs.pictures_of_other_methods`.
  """
  return to_rows(
    [
      inputs[index] | {'ours': inputs[index]['samples'][:1], 'others': pictures}
      for index, pictures in others.items()
    ],
    'grey',
    'ours',
    'others',
    'original',
  )
