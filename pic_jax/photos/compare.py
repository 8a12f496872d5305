"""Figures 7 and 8 of the paper: models, and methods, side by side."""

import pathlib
from collections.abc import Sequence
from typing import Any

import ml_collections
import numpy as np

from pic_jax.data import batches as input_pipeline
from pic_jax.evaluation import figure_inputs as study
from pic_jax.evaluation import figures as paper_figures
from pic_jax.images import files as images
from pic_jax.images import grid as picture_grid
from pic_jax.images import resizing as resize
from pic_jax.photos import colorize
from pic_jax.photos import folder_job as jobs
from pic_jax.photos import options as settings_lib
from pic_jax.runtime import devices
from pic_jax.runtime import run_log as progress
from pic_jax.saved import run_config as config_lib

CELL = 128  # side of every picture in figure 8, pixels


def models(
  trained: Sequence[tuple[Any, ml_collections.ConfigDict]], path: pathlib.Path
) -> None:
  """Figure 7: the same images and noise under several models.

  Args:
    trained: (parameters, config) of each; the first one's data and sampling.
    path: of the PNG file: grey | samples of each model | original.

  Raises:
    paper_figures.FigureError: images, chroma or noise differ in shape.
  """
  config = trained[0][1]
  source = input_pipeline.open_source(config.data, config.data.test_split)
  num_rows = paper_figures.number_of_rows(config, len(source))
  indices = paper_figures.random_indices(config, len(source), num_rows)
  columns = []
  for params, its_config in trained:
    check_alike(config, its_config)
    its_config = its_config.copy_and_resolve_references()
    with its_config.unlocked():
      its_config.sampling = config.sampling
    looks = list(
      study.Study(its_config)(devices.replicate(params), source, indices)
    )
    columns.append(paper_figures.rows_of(looks, 'samples'))
  grey, original = (
    paper_figures.rows_of(looks, name) for name in ('grey', 'original')
  )
  rows = np.concatenate([grey, *columns, original], 1)
  images.save_image(path, picture_grid.grid(rows))


def check_alike(*configs: ml_collections.ConfigDict) -> None:
  """`FigureError`, unless images, chroma maps and noise have the same shape."""
  nets = [config_lib.build_model(config) for config in configs]
  for name, values in {
    '`data.image_size`': [config.data.image_size for config in configs],
    'chroma factor': [net.chroma_factor for net in nets],
    '`model.num_components`': [net.num_components for net in nets],
  }.items():
    if len(set(values)) > 1:
      raise paper_figures.FigureError(
        f'--checkpoints must be of one {name}, got {values[0]} and {values[1]}.'
      )


def folders(
  params: Any,
  config: ml_collections.ConfigDict,
  originals: pathlib.Path,
  others: Sequence[pathlib.Path],
  path: pathlib.Path,
) -> None:
  """Figure 8: our sample beside the pictures of other methods.

  Args:
    params: averaged parameters of our model.
    config: of it; `sampling.seed` and `temperature` of the samples, and at
      most `num_images` rows.
    originals: a photograph, or a folder of photographs.
    others: for each method a folder with NAME.*, or NAME.0.* as written by
      --mode=colorize, for a photograph NAME.*; a photograph that has no
      picture in one of them is named on stderr and left out.
    path: of the PNG file: grey | ours | picture of each folder | original.

  Raises:
    paper_figures.FigureError: no photograph has a picture in every folder.
    jobs.JobError: no photographs.
  """
  for folder in others:
    if not folder.is_dir():
      raise paper_figures.FigureError(
        f'--folders={jobs.shown(folder)}: no such folder.'
      )
  job = jobs.Job(originals, path.parent, settings_lib.Settings())
  tasks = jobs.make_tasks(job, jobs.find_files(job))
  known = [_pictures(folder) for folder in others]
  sampling = config.sampling
  settings = settings_lib.Settings(
    num_samples=1, seed=sampling.seed, temperature=sampling.temperature
  )
  colorizer = colorize.Colorizer(params, config)
  rows = []
  for task in tasks:
    if len(rows) == sampling.num_images:
      break
    try:
      given = [images.load_image(task.path)]
      for folder, pictures in zip(others, known, strict=True):
        given.append(images.load_image(_find(task, folder, pictures)))
    except images.ImageError as error:
      progress.say(f'left out: {error}')
      continue
    rows.append(np.stack(_row(colorizer, settings, *given)))
  if not rows:
    raise paper_figures.FigureError(
      f'No photograph of --input={jobs.shown(originals)} has a picture in '
      f'each of --folders={",".join(map(jobs.shown, others))}.'
    )
  images.save_image(path, picture_grid.grid(np.stack(rows)))


def _pictures(folder: pathlib.Path) -> dict[str, pathlib.Path]:
  """The pictures of a folder by whole name and by stem."""
  files = [
    path
    for path in sorted(folder.iterdir(), reverse=True)
    if path.suffix.lower() in images.SUFFIXES
  ]
  return {path.stem: path for path in files} | {
    path.name: path for path in files
  }


def _find(
  task: jobs.Task, folder: pathlib.Path, pictures: dict[str, pathlib.Path]
) -> pathlib.Path:
  """A method's picture of a photograph; `ImageError` if there is none."""
  stem = task.stem.name
  for name in (task.path.name, stem, f'{stem}.0'):
    if name in pictures:
      return pictures[name]
  raise images.ImageError(
    f'{jobs.shown(task.path)}: {jobs.shown(folder)} has neither '
    f'{jobs.shown(stem)}.* nor {jobs.shown(stem)}.0.*.'
  )


def _row(
  colorizer: colorize.Colorizer,
  settings: settings_lib.Settings,
  original: np.ndarray,
  *pictures: np.ndarray,
) -> list[np.ndarray]:
  """Squares [CELL, CELL, 3]: grey, ours, the pictures given, original."""
  (drawing,) = colorizer.draw([colorizer.see(original)], settings)
  grey = (drawing.grey.luminance * 2.55).round().astype(np.uint8)
  grey = np.repeat(grey[..., None], 3, -1)
  ours, _ = colorizer.render(drawing, 0, settings, original.dtype)
  return [
    resize.fit(picture, CELL, 'crop')
    for picture in (grey, ours, *pictures, original)
  ]
