"""The figures of the paper, on random, uncurated images of the test split."""

import functools
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import ml_collections
import numpy as np

from pic_jax.data import input_pipeline
from pic_jax.evaluation import figure_inputs
from pic_jax.images import grid as picture_grid
from pic_jax.images import image_files
from pic_jax.runtime import devices, errors
from pic_jax.saved import run_config

# Images looked at for each row of a figure that picks extremes.
POOL_PER_ROW = 8

Look = dict[str, Any]  # what `study.Study` gives of an image


def _columns(look: Look, *names: str) -> np.ndarray:
  """[columns, H, W, 3] of pictures and stacks of pictures."""
  parts = [look[name] for name in names]
  return np.concatenate([x[None] if x.ndim == 3 else x for x in parts])


def rows_of(looks: Sequence[Look], *names: str) -> np.ndarray:
  """[rows, columns, H, W, 3] uint8: one row for each image."""
  return np.stack([_columns(look, *names) for look in looks])


def pixelwise(looks: Sequence[Look], num_rows: int) -> np.ndarray:
  """Figure 1: independent samples of every pixel, from the embedding alone."""
  return rows_of(looks[:num_rows], 'grey', 'embedding_samples', 'original')


def grid(looks: Sequence[Look], num_rows: int) -> np.ndarray:
  """Figures 3, 9 and 10: samples left, originals right."""
  return rows_of(looks[:num_rows], 'samples', 'original')


def diversity(looks: Sequence[Look], num_rows: int) -> np.ndarray:
  """Figure 4: the most diverse images first, then the most consistent."""
  ranked = sorted(looks, key=lambda look: -look['difference'])
  half = num_rows // 2
  chosen = ranked[: num_rows - half] + ranked[len(ranked) - half :]
  return rows_of(chosen, 'grey', 'samples', 'original')


def failures(looks: Sequence[Look], num_rows: int) -> np.ndarray:
  """Figure 5: most bits/dim first, then least agreement between samples."""
  by_bits = sorted(looks, key=lambda look: -look['bits_per_dim'])
  chosen = by_bits[: num_rows - num_rows // 2]
  taken = {look['index'] for look in chosen}
  by_difference = sorted(looks, key=lambda look: -look['difference'])
  rest = [look for look in by_difference if look['index'] not in taken]
  chosen += rest[: num_rows // 2]
  return rows_of(chosen, 'grey', 'samples', 'original')


def ablation(looks: Sequence[Look], num_rows: int) -> np.ndarray:
  """Figure 6: grey | embedding's mode, its chroma | PIC, its chroma | original.

  Chroma is shown at L = 50.
  """
  looks = [look | {'sample': look['samples'][0]} for look in looks[:num_rows]]
  return rows_of(
    looks,
    'grey',
    'embedding_mode',
    'flat_mode',
    'sample',
    'flat_sample',
    'original',
  )


FIGURES: dict[str, Callable[[Sequence[Look], int], np.ndarray]] = {
  'pixelwise': pixelwise,
  'grid': grid,
  'diversity': diversity,
  'failures': failures,
  'ablation': ablation,
}
PICKING = ('diversity', 'failures')
NEED_MIXTURE = ('pixelwise', 'ablation')


def random_indices(
  config: ml_collections.ConfigDict, length: int, count: int
) -> list[int]:
  """Numbers of `count` images out of `length`, by `sampling.seed`."""
  rng = np.random.default_rng(config.sampling.seed)
  return rng.permutation(length)[:count].tolist()


def number_of_rows(config: ml_collections.ConfigDict, length: int) -> int:
  """`sampling.num_images`, or as many as there are."""
  wanted = config.sampling.num_images
  return length if wanted < 0 else min(wanted, length)


def drawings(
  params: Any, config: ml_collections.ConfigDict
) -> dict[str, Callable[[pathlib.Path], None]]:
  """A function for each of `FIGURES`, which writes it to a PNG file.

  All show images of one pool, drawn by the first of them.

  Args:
    params: averaged parameters.
    config: of the model; `sampling.num_images` rows of `num_samples` samples,
      `sampling.seed` chooses images and samples.

  Returns:
    By name; each raises UserError where the model cannot show the figure.
  """
  model = run_config.build_model(config)

  @functools.cache
  def pool() -> tuple[list[Look], int]:
    source = input_pipeline.open_source(config.data, config.data.test_split)
    num_rows = number_of_rows(config, len(source))
    count = num_rows * (POOL_PER_ROW if model.has_likelihood else 1)
    indices = random_indices(config, len(source), count)
    study = figure_inputs.Study(config)
    return list(study(devices.replicate(params), source, indices)), num_rows

  def draw(figure: str, path: pathlib.Path) -> None:
    if figure in NEED_MIXTURE and not model.embedding_has_likelihood:
      raise errors.UserError(
        'the embedding has no likelihood of its own: trained with '
        '`model.embedding_loss_weight` = 0.'
      )
    if figure in PICKING and not model.has_likelihood:
      raise errors.UserError(f'`model.head={model.head}` has no likelihood.')
    rows = FIGURES[figure](*pool())
    image_files.save_image(path, picture_grid.grid(rows))

  return {figure: functools.partial(draw, figure) for figure in FIGURES}
