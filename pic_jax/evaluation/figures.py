"""The figures of the paper, on random, uncurated images of the test split."""

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

# Images drawn for each row of a figure that picks extremes.
POOL_PER_ROW = 8

FigureInputs = figure_inputs.FigureInputs
Trained = tuple[Any, ml_collections.ConfigDict]  # averaged parameters, config


def _columns(image: FigureInputs, *names: str) -> np.ndarray:
  """Joins pictures and stacks of pictures to [columns, H, W, 3]."""
  parts = [image[name] for name in names]
  return np.concatenate([x[None] if x.ndim == 3 else x for x in parts])


def to_rows(inputs: Sequence[FigureInputs], *names: str) -> np.ndarray:
  """Stacks one row for each image: [rows, columns, H, W, 3] uint8."""
  return np.stack([_columns(image, *names) for image in inputs])


def pixelwise(inputs: Sequence[FigureInputs], num_rows: int) -> np.ndarray:
  """Figure 1: independent samples of every pixel, from the embedding alone."""
  return to_rows(inputs[:num_rows], 'grey', 'embedding_samples', 'original')


def grid(inputs: Sequence[FigureInputs], num_rows: int) -> np.ndarray:
  """Figures 3, 9 and 10: samples left, originals right."""
  return to_rows(inputs[:num_rows], 'samples', 'original')


def diversity(inputs: Sequence[FigureInputs], num_rows: int) -> np.ndarray:
  """Figure 4: the most diverse images first, then the most consistent."""
  ranked = sorted(inputs, key=lambda image: -image['difference'])
  half = num_rows // 2
  chosen = ranked[: num_rows - half] + ranked[len(ranked) - half :]
  return to_rows(chosen, 'grey', 'samples', 'original')


def failures(inputs: Sequence[FigureInputs], num_rows: int) -> np.ndarray:
  """Figure 5: most bits/dim first, then least agreement between samples."""
  by_bits = sorted(inputs, key=lambda image: -image['bits_per_dim'])
  chosen = by_bits[: num_rows - num_rows // 2]
  taken = {image['index'] for image in chosen}
  by_difference = sorted(inputs, key=lambda image: -image['difference'])
  rest = [image for image in by_difference if image['index'] not in taken]
  chosen += rest[: num_rows // 2]
  return to_rows(chosen, 'grey', 'samples', 'original')


def ablation(inputs: Sequence[FigureInputs], num_rows: int) -> np.ndarray:
  """Figure 6: grey | embedding's mode, its chroma | PIC, its chroma | original.

  Chroma is shown at L = 50.
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
  """Grey | one sample's map of each level, as cells | the sample | original."""
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
PICKING = ('diversity', 'failures')
NEED_MIXTURE = ('pixelwise', 'ablation')


def make_all(
  names: Sequence[str],
  trained: Sequence[Trained],
  folder: pathlib.Path,
  *,
  compare_with: str = '',
) -> Iterator[pathlib.Path]:
  """Writes every figure that the models allow, and reports the others.

  Args:
    names: workdirs or other names of the models, for their learning curves.
    trained: one model for figures 1, 3 to 6 and 8, or several for figure 7.
      The first one's config names the images: `sampling.num_images` rows of
      `num_samples` samples; `sampling.seed` chooses images and samples.
    folder: of the PNG files.
    compare_with: folders X,Y of other methods' pictures, for figure 8.

  Yields:
    The path of each, once it is written.

  Raises:
    UserError: a folder of `compare_with` is missing.
  """
  several = {'compare': functools.partial(models, trained)}
  folders = paths.split(compare_with) if compare_with else []
  rows = several
  if len(trained) == 1:
    rows = _figures_of_model(*trained[0], folders)
  drawings = {name: functools.partial(_save, fn) for name, fn in rows.items()}
  drawings['curve'] = functools.partial(
    learning_curve.plot, [pathlib.Path(name) for name in names]
  )
  for name, draw in drawings.items():
    path = folder / f'{name}.png'
    try:
      draw(path)
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
  """Builds the rows of each figure by name, from one pass over the images."""
  model = run_config.build_model(config)
  others = figure_inputs.pictures_of_others(config, folders)
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

  def draw(figure: str) -> np.ndarray:
    if figure in NEED_MIXTURE and not model.embedding_has_likelihood:
      raise errors.UserError(
        'the embedding has no likelihood of its own: trained with '
        '`model.embedding_loss_weight` = 0.'
      )
    if figure == 'levels' and not model.levels:
      raise errors.UserError('the model has no finer levels (`model.levels`).')
    if figure in PICKING and not model.has_likelihood:
      raise errors.UserError(f'`model.head={model.head}` has no likelihood.')
    return FIGURES[figure]([inputs[index] for index in pool], num_rows)

  drawings = {name: functools.partial(draw, name) for name in FIGURES}
  if others:
    drawings['compare_folders'] = functools.partial(methods, inputs, others)
  return drawings


def random_indices(
  config: ml_collections.ConfigDict, length: int, count: int
) -> list[int]:
  """Chooses `count` of `length` images by `sampling.seed`."""
  rng = np.random.default_rng(config.sampling.seed)
  return rng.permutation(length)[:count].tolist()


def number_of_rows(config: ml_collections.ConfigDict, length: int) -> int:
  """`sampling.num_images`, or as many as there are."""
  wanted = config.sampling.num_images
  return length if wanted < 0 else min(wanted, length)


def models(trained: Sequence[Trained]) -> np.ndarray:
  """Figure 7: grey | samples of each model, of the same noise | original.

  Raises:
    UserError: images, chroma or noise differ in shape.
  """
  config = trained[0][1]
  for _, other in trained:
    check_alike(config, other)
  source = input_pipeline.open_test(config)
  num_rows = number_of_rows(config, len(source))
  indices = random_indices(config, len(source), num_rows)
  columns = []
  for params, other in trained:
    other = other.copy_and_resolve_references()
    with other.unlocked():
      other.sampling = config.sampling
    inputs = list(
      figure_inputs.draw_and_score(
        other, devices.replicate(params), source, indices=indices
      )
    )
    columns.append(to_rows(inputs, 'samples'))
  columns = [to_rows(inputs, 'grey'), *columns, to_rows(inputs, 'original')]
  return np.concatenate(columns, 1)


def check_alike(*configs: ml_collections.ConfigDict) -> None:
  """Raises `UserError` unless images, chroma and noise have the same shape."""
  nets = [run_config.build_model(config) for config in configs]
  for name, values in {
    '`data.image_size`': [config.data.image_size for config in configs],
    'chroma factor': [net.chroma_factor for net in nets],
    '`model.num_components`': [net.num_components for net in nets],
  }.items():
    if len(set(values)) > 1:
      raise errors.UserError(
        f'--checkpoint must be of one {name}, got {values[0]} and {values[1]}.'
      )


def methods(
  inputs: dict[int, FigureInputs], others: dict[int, np.ndarray]
) -> np.ndarray:
  """Figure 8: grey | our first sample | pictures of others | original.

  Args:
    inputs: those of our model, by the number of the image.
    others: see `figure_inputs.pictures_of_others`.
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
