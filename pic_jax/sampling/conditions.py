"""What samples are made of: embedding, luminance, noise, given cells."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_collections

from pic_jax.model import hints as hint_maps
from pic_jax.model import logistic_mixture, pic


class Guidance(NamedTuple):
  """The embedding's own likelihood chooses among the decoder's candidates.

  Of m candidates for a pixel one is taken with a probability proportional to
  p_embedding ** strength: what all of the luminance says of this pixel alone
  keeps a canvas from drifting. With a strength of 0 or one candidate a sample
  is one of the decoder's, as without guidance.
  """

  strength: float | jax.Array
  num_candidates: int


def guidance_of(sampling: ml_collections.ConfigDict) -> Guidance | None:
  """What `config.sampling` asks for; None for exact samples."""
  if not sampling.guidance:
    return None
  return Guidance(sampling.guidance, sampling.num_candidates)


def _of_samples(
  keys: jax.Array, samples: int | jax.Array, draw_fn: Callable[..., jax.Array]
) -> jax.Array:
  """[B S, ...] of draw_fn(key of a sample), keys [B]; see `draw_noise`."""
  if isinstance(samples, int):
    samples = jnp.arange(samples)
  drawn = jax.vmap(
    lambda key: jax.vmap(lambda s: draw_fn(jax.random.fold_in(key, s)))(samples)
  )(keys)  # [B, S, ...]
  return drawn.reshape(-1, *drawn.shape[2:])


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
  return _of_samples(
    keys, samples, lambda key: logistic_mixture.noise(key, shape)
  )


def _draw_candidates(
  keys: jax.Array,
  samples: int | jax.Array,
  shape: tuple[int, int, int],
  count: int,
) -> tuple[jax.Array, jax.Array]:
  """Noise of candidates [m, N, h, w, K + 2], and of the choice [m, N, h, w].

  Candidate i, from 0 on, and its share in the choice have
  fold_in(key of the sample, i).
  """

  def draw_fn(key: jax.Array) -> jax.Array:
    # One Gumbel more than the components need: that of the choice.
    wider = (*shape[:2], shape[2] + 1)
    return jax.vmap(
      lambda i: logistic_mixture.noise(jax.random.fold_in(key, i), wider)
    )(jnp.arange(count))

  drawn = jnp.moveaxis(_of_samples(keys, samples, draw_fn), 1, 0)
  return drawn[..., 1:], drawn[..., 0]


class Conditions(NamedTuple):
  """What every method is given, of N = B S canvases.

  Attributes:
    embedding: [B, h, w, E].
    luminance: [N, h, w, 1] in network units.
    noise: [N, h, w, K + 2], times the temperature; of m candidates for each
      pixel [m, N, h, w, K + 2].
    given: [N, h, w, 3], cells that are given (`hints`); None: none.
    own_theta: [N, h, w, P] of the embedding, where it guides.
    choice: [m, N, h, w] Gumbel noise.
    strength: of guidance.
  """

  embedding: jax.Array
  luminance: jax.Array
  noise: jax.Array
  given: jax.Array | None = None
  own_theta: jax.Array | None = None
  choice: jax.Array | None = None
  strength: float | jax.Array = 0.0

  def embedding_of_each(self) -> jax.Array:
    """[N, h, w, E]."""
    repeats = len(self.luminance) // len(self.embedding)
    return jnp.repeat(self.embedding, repeats, 0)

  def sample(self, theta: jax.Array, place: tuple = ()) -> jax.Array:
    """Chroma [N, ..., 2] of theta [N, ..., P] at a place, or everywhere."""
    level = self.luminance[place]
    if self.own_theta is None:
      chroma = logistic_mixture.sample(theta, level, self.noise[place])
    else:
      chroma = self._guided(theta, place)
    if self.given is None:
      return chroma
    return hint_maps.put(chroma, self.given[place])

  def _guided(self, theta: jax.Array, place: tuple) -> jax.Array:
    """The candidate that the embedding's likelihood and the noise choose."""
    level, own = self.luminance[place], self.own_theta[place]
    candidates = jax.vmap(
      lambda noise: logistic_mixture.sample(theta, level, noise[place])
    )(self.noise)  # [m, N, ..., 2]
    score = jax.vmap(
      lambda chroma, choice: (
        self.strength * logistic_mixture.log_prob(own, level, chroma)
        + choice[place]
      )
    )(candidates, self.choice)
    best = score.argmax(0)[None, ..., None]
    return jnp.take_along_axis(candidates, best, 0)[0]


def prepare(
  model: pic.PIC,
  params: dict,
  luminance: jax.Array,
  keys: jax.Array,
  samples: int | jax.Array,
  temperature: float | jax.Array,
  hints: jax.Array | None = None,
  guidance: Guidance | None = None,
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
  given = Conditions(embedding, jnp.repeat(small, repeats, 0), noise, hints)
  if guidance is None or not model.has_decoder or guidance.num_candidates == 1:
    return given
  if not model.embedding_has_likelihood:
    raise ValueError(
      'Guidance needs an embedding that was trained as a mixture: '
      '`model.embedding_loss_weight` is 0.'
    )
  more, choice = _draw_candidates(keys, samples, shape, guidance.num_candidates)
  return given._replace(
    # The first candidate is the sample without guidance.
    noise=(temperature * more).at[0].set(noise),
    own_theta=given.embedding_of_each()[..., : model.num_outputs],
    choice=choice,
    strength=guidance.strength,
  )
