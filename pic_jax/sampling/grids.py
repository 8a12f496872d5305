"""Colourising batches of images over all local devices."""

from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from pic_jax.data import input_pipeline
from pic_jax.model import pic
from pic_jax.runtime import devices
from pic_jax.sampling import conditions, pictures, sample


class Sampler:
  """Colourises batches of images over all local devices."""

  def __init__(
    self,
    model: pic.PIC,
    num_samples: int,
    temperature: float,
    method: str,
    guidance: conditions.Guidance | None = None,
  ):
    def draw(params: dict, rgb: jax.Array, seeds: jax.Array) -> jax.Array:
      lab = model.split_lab(rgb)
      keys = sample.image_keys(seeds[0, 0], seeds[:, 1])
      chroma = sample.draw(
        model,
        params,
        lab.luminance,
        keys,
        num_samples,
        temperature,
        method,
        guidance=guidance,
      ).chroma
      grey = pictures.grey_picture(model, lab)
      colourised = pictures.to_rgb(model, lab.luminance, chroma)
      return jnp.concatenate([grey[:, None], colourised, rgb[:, None]], 1)

    self._draw = devices.pmap(draw)

  def __call__(
    self, params: dict, rgb: jax.Array, seed: int, indices: jax.Array
  ) -> jax.Array:
    """Colourises the grey versions of images.

    Args:
      params: replicated parameters.
      rgb: [B, H, W, 3] uint8; any B, padded here to the devices.
      seed: together with an image's index it determines its samples.
      indices: [B] numbers of the images.

    Returns:
      [B, S + 2, H, W, 3] uint8: grey, samples, original.
    """
    count = jax.local_device_count()
    indices = jnp.asarray(indices)
    pad = -len(rgb) % count
    rgb = jnp.pad(jnp.asarray(rgb), ((0, pad), (0, 0), (0, 0), (0, 0)))
    seeds = jnp.stack([jnp.full_like(indices, seed), indices], -1)
    seeds = jnp.pad(seeds, ((0, pad), (0, 0)))
    rows = self._draw(params, *devices.shard((rgb, seeds)))
    return devices.unshard(rows)[: len(indices)]

  def batches(
    self,
    params: dict,
    source: Sequence[np.ndarray],
    config: ml_collections.ConfigDict,
  ) -> Iterator[np.ndarray]:
    """Colourises the first images of a source, batch after batch.

    Every host colourises its share and gets all.

    Args:
      params: replicated parameters.
      source: see `input_pipeline.open_source`.
      config: `config.sampling`.

    Yields:
      [b, S + 2, H, W, 3] uint8: grey, samples, original.
    """
    for rgb, indices, mask in input_pipeline.eval_batches(
      source,
      devices.round_up(config.batch_size),
      config.num_images,
      jax.process_index(),
      jax.process_count(),
    ):
      rows = self(params, rgb, config.seed, indices)
      yield devices.gather(rows)[devices.gather(mask)]
