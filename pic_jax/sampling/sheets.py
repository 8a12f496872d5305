"""Sheets of colourised test images (paper figures 3 and 4)."""

import functools
import pathlib
from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from pic_jax.data import image_source, input_pipeline
from pic_jax.images import image_files, tiling
from pic_jax.model import parameters, pic
from pic_jax.runtime import devices, terminal
from pic_jax.sampling import conditions, pictures, sample


@functools.lru_cache(maxsize=8)
def _rows_fn(
  model: pic.PIC, seed: int, spec: conditions.SamplingSpec
) -> Callable[..., jax.Array]:
  """Returns a function that colourises images on all local devices.

  It takes (params, rgb, indices) and returns rows, see `draw_rows`. The cache
  prevents a second compilation for the same model and settings.
  """

  def draw(
    params: parameters.Params, rgb: jax.Array, indices: jax.Array
  ) -> jax.Array:
    lab = model.split_lab(rgb)
    keys = sample.image_keys(seed, indices)
    drawn = sample.draw(model, params, lab.luminance, keys=keys, spec=spec)
    grey = pictures.grey_picture(model, lab)
    colourised = pictures.to_rgb(model, lab.luminance, drawn.chroma)
    return jnp.concatenate([grey[:, None], colourised, rgb[:, None]], 1)

  return devices.pmap(draw)


def draw_rows(
  model: pic.PIC,
  params: parameters.Params,
  rgb: np.ndarray,
  *,
  indices: Sequence[int] | np.ndarray,
  sampling: ml_collections.ConfigDict,
) -> np.ndarray:
  """Colourises the grey versions of images.

  Args:
    model: the network.
    params: replicated parameters.
    rgb: [B, H, W, 3] uint8. B need not be a multiple of the device count.
    indices: [B] indices of the images in the data set. Together with
      `sampling.seed` they determine the samples.
    sampling: section `sampling` of the config.

  Returns:
    [B, S + 2, H, W, 3] uint8: grey, samples, original.
  """
  spec = conditions.spec_from_config(sampling)
  pad = -len(rgb) % jax.local_device_count()
  batch = np.pad(rgb, ((0, pad), *3 * [(0, 0)])), np.pad(indices, (0, pad))
  rows = _rows_fn(model, sampling.seed, spec)(params, *devices.shard(batch))
  return devices.unshard(rows)[: len(rgb)]


def draw_batches(
  model: pic.PIC,
  params: parameters.Params,
  source: image_source.ImageSource,
  *,
  sampling: ml_collections.ConfigDict,
) -> Iterator[np.ndarray]:
  """Colourises the first `sampling.num_images` images of a source, in batches.

  Every host colourises its share of a batch and receives the rows of all hosts.

  Args:
    model: the network.
    params: replicated parameters.
    source: images, see `input_pipeline.open_source`.
    sampling: section `sampling` of the config.

  Yields:
    The rows of one batch, [b, S + 2, H, W, 3] uint8: grey, samples, original.
  """
  for rgb, indices, mask in input_pipeline.eval_batches(
    source,
    devices.round_up(sampling.batch_size),
    sampling.num_images,
    host=jax.process_index(),
    num_hosts=jax.process_count(),
  ):
    rows = draw_rows(model, params, rgb, indices=indices, sampling=sampling)
    yield devices.gather(rows)[devices.gather(mask)]


def save(
  model: pic.PIC,
  params: parameters.Params,
  config: ml_collections.ConfigDict,
  *,
  step: int,
  folder: str,
) -> Iterator[pathlib.Path]:
  """Colourises test images and saves one sheet for each batch.

  Each row of a sheet shows the grey image, its samples and the original. Only
  one batch is in memory at a time.

  Args:
    model: the network.
    params: averaged parameters of the network.
    config: the run's config. `sampling.num_images` is the number of images.
    step: training step of the parameters, for the names of the files.
    folder: folder in which the folder `samples/` is created.

  Yields:
    The path of each sheet after it is written, on the main host only.
  """
  source = input_pipeline.open_test(config)
  num_done = 0
  batches = draw_batches(
    model, devices.replicate(params), source, sampling=config.sampling
  )
  for rows in batches:
    last = num_done + len(rows) - 1
    name = f'step_{step:07d}_images_{num_done:06d}-{last:06d}.png'
    path = pathlib.Path(folder) / 'samples' / name
    num_done = last + 1
    terminal.say(f'{num_done} images x {config.sampling.num_samples} samples')
    if devices.is_main():
      image_files.save_image(path, tiling.tile(rows))
      yield path
