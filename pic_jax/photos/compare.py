"""Figures 7 and 8 of the paper: models, and methods, side by side."""

import pathlib
from collections.abc import Sequence
from typing import Any

import ml_collections
import numpy as np

from pic_jax.data import input_pipeline
from pic_jax.evaluation import figure_inputs, figures
from pic_jax.images import grid, image_files, resizing
from pic_jax.photos import colorize, folder_job, network_size, options
from pic_jax.runtime import devices, errors, run_log
from pic_jax.saved import run_config

CELL = 128  # side of every picture in figure 8, pixels


def models(
  trained: Sequence[tuple[Any, ml_collections.ConfigDict]], path: pathlib.Path
) -> None:
  """Figure 7: the same images and noise under several models.

  Args:
    trained: (parameters, config) of each; the first one's data and sampling.
    path: of the PNG file: grey | samples of each model | original.

  Raises:
    UserError: images, chroma or noise differ in shape.
  """
  config = trained[0][1]
  source = input_pipeline.open_source(config.data, config.data.test_split)
  num_rows = figures.number_of_rows(config, len(source))
  indices = figures.random_indices(config, len(source), num_rows)
  columns = []
  for params, its_config in trained:
    check_alike(config, its_config)
    its_config = its_config.copy_and_resolve_references()
    with its_config.unlocked():
      its_config.sampling = config.sampling
    looks = list(
      figure_inputs.Study(its_config)(
        devices.replicate(params), source, indices
      )
    )
    columns.append(figures.rows_of(looks, 'samples'))
  grey, original = (
    figures.rows_of(looks, name) for name in ('grey', 'original')
  )
  rows = np.concatenate([grey, *columns, original], 1)
  image_files.save_image(path, grid.grid(rows))


def check_alike(*configs: ml_collections.ConfigDict) -> None:
  """`UserError`, unless images, chroma and noise have the same shape."""
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


def folders(
  params: Any,
  config: ml_collections.ConfigDict,
  path: pathlib.Path,
) -> None:
  """Figure 8: our sample beside the pictures of other methods.

  Args:
    params: averaged parameters of our model.
    config: of it; `sampling.seed` and `temperature` of the samples, and at
      most `num_images` rows. `data.data_dir` is a folder of photographs, and
      `evaluation.compare_with` one folder for each method, with NAME.*, or
      NAME.0.* as colorize writes it, for a photograph NAME.*; a photograph
      that has no picture in one of them is named on stderr and left out.
    path: of the PNG file: grey | ours | picture of each folder | original.

  Raises:
    UserError: no photograph has a picture in every folder.
    UserError: no photographs.
  """
  if config.data.name != 'folder':
    raise errors.UserError(
      '`evaluation.compare_with` needs `data.name=folder`, the photographs, '
      f'got {config.data.name!r}.'
    )
  originals = pathlib.Path(config.data.data_dir)
  others = [pathlib.Path(x) for x in config.evaluation.compare_with.split(',')]
  for folder in others:
    if not folder.is_dir():
      raise errors.UserError(
        f'`evaluation.compare_with`: {folder_job.one_line(folder)}: no such '
        'folder.'
      )
  job = folder_job.Job((originals,), path.parent, options.Settings())
  known = [_pictures(folder) for folder in others]
  sampling = config.sampling
  given = {name: sampling[name] for name in ('seed', 'temperature', 'guidance')}
  settings = options.Settings(num_samples=1, **given)
  colorizer = colorize.Colorizer(params, config)
  rows = []
  for photograph, _ in folder_job.find(job).photographs:
    if len(rows) == sampling.num_images:
      break
    try:
      shown = [image_files.load_image(photograph)]
      for folder, pictures in zip(others, known, strict=True):
        shown.append(
          image_files.load_image(_find(photograph, folder, pictures))
        )
    except errors.RunError as error:
      run_log.say(f'left out: {error}')
      continue
    rows.append(np.stack(_row(colorizer, settings, *shown)))
  if not rows:
    raise errors.UserError(
      f'No photograph of {folder_job.one_line(originals)} has a picture in '
      f'each of {",".join(map(folder_job.one_line, others))}.'
    )
  image_files.save_image(path, grid.grid(np.stack(rows)))


def _pictures(folder: pathlib.Path) -> dict[str, pathlib.Path]:
  """The pictures of a folder by whole name and by stem."""
  files = [
    path
    for path in sorted(folder.iterdir(), reverse=True)
    if path.suffix.lower() in image_files.suffixes()
  ]
  return {path.stem: path for path in files} | {
    path.name: path for path in files
  }


def _find(
  photograph: pathlib.Path,
  folder: pathlib.Path,
  pictures: dict[str, pathlib.Path],
) -> pathlib.Path:
  """A method's picture of a photograph; `RunError` if there is none."""
  stem = photograph.stem
  for name in (photograph.name, stem, f'{photograph.name}.0', f'{stem}.0'):
    if name in pictures:
      return pictures[name]
  raise errors.RunError(
    f'{folder_job.one_line(folder)} has no picture of '
    f'{folder_job.one_line(photograph)}: neither its name, nor with .0 behind.'
  )


def _row(
  colorizer: colorize.Colorizer,
  settings: options.Settings,
  original: np.ndarray,
  *pictures: np.ndarray,
) -> list[np.ndarray]:
  """Squares [CELL, CELL, 3]: grey, ours, the pictures given, original."""
  (drawing,) = colorizer.draw([colorizer.to_network_size(original)], settings)
  grey = network_size.grey_picture(drawing.grey)
  ours, _ = colorizer.render(drawing, 0, settings)
  return [
    resizing.fit(picture, CELL, 'crop')
    for picture in (grey, ours, *pictures, original)
  ]
