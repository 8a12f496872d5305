"""What samples are made of: embedding, luminance, noise, given cells."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from pic_jax.model import hints as hint_maps
from pic_jax.model import logistic_mixture, pic


def draw_noise(
  keys: jax.Array,
  samples: int | jax.Array,
  shape: tuple[int, int, int],
) -> jax.Array:
  """Noise of some samples of each image.

  Args:
    keys: [B], one PRNG key per image.
    samples: [S] their numbers, or how many, from number 0 on.
    shape: h, w, K + 2.

  Returns:
    [B S, h, w, K + 2].
  """

  def of_sample(key: jax.Array, index: jax.Array) -> jax.Array:
    return logistic_mixture.noise(jax.random.fold_in(key, index), shape)

  if isinstance(samples, int):
    samples = jnp.arange(samples)
  noise = jax.vmap(lambda key: jax.vmap(lambda s: of_sample(key, s))(samples))(
    keys
  )  # [B, S, h, w, K + 2]
  return noise.reshape(-1, *shape)


class Conditions(NamedTuple):
  """What every method is given, of N = B S canvases.

  Attributes:
    embedding: [B, h, w, E].
    luminance: [N, h, w, 1] in network units.
    noise: [N, h, w, K + 2], times the temperature.
    given: [N, h, w, 3], cells that are given (`hints`); None: none.
  """

  embedding: jax.Array
  luminance: jax.Array
  noise: jax.Array
  given: jax.Array | None = None

  def embedding_of_each(self) -> jax.Array:
    """[N, h, w, E]."""
    repeats = len(self.noise) // len(self.embedding)
    return jnp.repeat(self.embedding, repeats, 0)

  def sample(self, theta: jax.Array, place: tuple = ()) -> jax.Array:
    """Chroma [N, ..., 2] of theta [N, ..., P] at a place, or everywhere."""
    chroma = logistic_mixture.sample(
      theta, self.luminance[place], self.noise[place]
    )
    if self.given is None:
      return chroma
    return hint_maps.put(chroma, self.given[place])


def prepare(
  model: pic.PIC,
  params: dict,
  luminance: jax.Array,
  keys: jax.Array,
  samples: int | jax.Array,
  temperature: float | jax.Array,
  hints: jax.Array | None = None,
) -> Conditions:
  """Computes what every method is given; arguments as in `sample.draw`."""
  embedding = model.build_embedding().apply(
    {'params': params['embedding']}, luminance, hints=hints
  )
  small = model.subsample(luminance)
  shape = (*small.shape[1:3], model.num_components + 2)
  noise = temperature * draw_noise(keys, samples, shape)
  repeats = len(noise) // len(small)
  if hints is not None:
    hints = jnp.repeat(hints, repeats, 0)
  return Conditions(embedding, jnp.repeat(small, repeats, 0), noise, hints)
