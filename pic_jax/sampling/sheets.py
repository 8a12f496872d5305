"""Grids of colourised test images (paper figures 3 and 4)."""

import pathlib
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from pic_jax.data import input_pipeline
from pic_jax.images import image_files, tiling
from pic_jax.model import pic
from pic_jax.runtime import devices, terminal
from pic_jax.sampling import conditions, pictures, sample


class Sampler:
  """Colourises batches of images over all local devices."""

  def __init__(self, model: pic.PIC, sampling: ml_collections.ConfigDict):
    """Builds what is mapped over devices; `config.sampling` says how."""
    self._sampling = sampling

    def draw(params: dict, rgb: jax.Array, indices: jax.Array) -> jax.Array:
      lab = model.split_lab(rgb)
      chroma = sample.draw(
        model,
        params,
        lab.luminance,
        keys=sample.image_keys(sampling.seed, indices),
        spec=conditions.spec_from_config(sampling),
      ).chroma
      grey = pictures.grey_picture(model, lab)
      colourised = pictures.to_rgb(model, lab.luminance, chroma)
      return jnp.concatenate([grey[:, None], colourised, rgb[:, None]], 1)

    self._draw = devices.pmap(draw)

  def __call__(
    self, params: dict, rgb: np.ndarray, indices: Sequence[int]
  ) -> np.ndarray:
    """Colourises the grey versions of images.

    Args:
      params: replicated parameters.
      rgb: [B, H, W, 3] uint8; any B, padded here to the devices.
      indices: [B] numbers of the images, which determine their samples.

    Returns:
      [B, S + 2, H, W, 3] uint8: grey, samples, original.
    """
    pad = -len(rgb) % jax.local_device_count()
    batch = np.pad(rgb, ((0, pad), *3 * [(0, 0)])), np.pad(indices, (0, pad))
    rows = self._draw(params, *devices.shard(batch))
    return devices.unshard(rows)[: len(rgb)]

  def batches(
    self, params: dict, source: Sequence[np.ndarray]
  ) -> Iterator[np.ndarray]:
    """Colourises the first images of a source, batch after batch.

    Every host colourises its share and gets all.

    Args:
      params: replicated parameters.
      source: see `input_pipeline.open_source`.

    Yields:
      [b, S + 2, H, W, 3] uint8: grey, samples, original.
    """
    for rgb, indices, mask in input_pipeline.eval_batches(
      source,
      devices.round_up(self._sampling.batch_size),
      self._sampling.num_images,
      jax.process_index(),
      jax.process_count(),
    ):
      rows = self(params, rgb, indices)
      yield devices.gather(rows)[devices.gather(mask)]


def save(
  model: pic.PIC,
  params: dict,
  config: ml_collections.ConfigDict,
  step: int,
  folder: str,
) -> Iterator[pathlib.Path]:
  """Colourises test images, one grid of grey | samples | original per batch.

  Streams: memory is that of one batch, whatever the number of images.

  Args:
    model: the network.
    params: its averaged parameters.
    config: of data and sampling, which says how many.
    step: for the names of the files.
    folder: where `samples/` is made.

  Yields:
    The path of each grid, once it is written.
  """
  source = input_pipeline.open_source(config.data, config.data.test_split)
  sampler = Sampler(model, config.sampling)
  done = 0
  for rows in sampler.batches(devices.replicate(params), source):
    last = done + len(rows) - 1
    name = f'step_{step:07d}_images_{done:06d}-{last:06d}.png'
    path = pathlib.Path(folder) / 'samples' / name
    done = last + 1
    terminal.say(f'{done} images x {config.sampling.num_samples} samples')
    if devices.is_main():
      image_files.save_image(path, tiling.tile(rows))
      yield path
