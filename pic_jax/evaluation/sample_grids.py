"""Pictures of trained models (paper figures 3 and 4)."""

import pathlib
from collections.abc import Iterator
from typing import Any

import ml_collections

from pic_jax.data import input_pipeline
from pic_jax.images import grid, image_files
from pic_jax.runtime import devices, run_log
from pic_jax.sampling import conditions, grids
from pic_jax.saved import run_config


def sample_grids(
  params: Any,
  config: ml_collections.ConfigDict,
  step: int,
  folder: str,
) -> Iterator[pathlib.Path]:
  """Colourises test images, one grid of grey | samples | original per batch.

  Streams: memory is that of one batch, whatever the number of images.

  Args:
    params: averaged parameters.
    config: of the model; `sampling` says how many.
    step: for the names of the files.
    folder: where `samples/` is made.

  Yields:
    The path of each grid, once it is written.
  """
  source = input_pipeline.open_source(config.data, config.data.test_split)
  sampling = config.sampling
  draw = grids.Sampler(
    run_config.build_model(config),
    sampling.num_samples,
    sampling.temperature,
    sampling.method,
    conditions.guidance_of(sampling),
  )
  params = devices.replicate(params)
  done = 0
  for rows in draw.batches(params, source, sampling):
    last = done + len(rows) - 1
    name = f'step_{step:07d}_images_{done:06d}-{last:06d}.png'
    path = pathlib.Path(folder) / 'samples' / name
    done = last + 1
    run_log.say(f'{done} images x {sampling.num_samples} samples')
    if devices.is_main():
      image_files.save_image(path, grid.grid(rows))
      yield path
