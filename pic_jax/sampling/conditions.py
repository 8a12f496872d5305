"""Settings of sampling, and the inputs that every method shares."""

from collections.abc import Callable
from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import ml_collections

from pic_jax.model import colour_prior, logistic_mixture, parameters, pic
from pic_jax.model import hints as hint_maps


@flax.struct.dataclass
class Guidance:
  """Lets the embedding's likelihood choose among the decoder's candidates.

  Of m candidates for a pixel, one is taken with a probability proportional to
  p_embedding ** strength: the embedding's estimate for each pixel, based on all
  of the luminance, keeps a canvas from drifting. A strength of 0 or a single
  candidate gives exact samples of the decoder.

  With a prior the probability is proportional to
  (p_embedding / p_prior ** prior_exponent) ** strength: see `colour_prior`.

  Attributes:
    strength: exponent of the embedding's probability.
    candidates_per_pixel: m.
    prior: [64, 64] log-probabilities of colours; None for none.
    prior_exponent: exponent of the prior; None without one.
  """

  strength: float | jax.Array
  candidates_per_pixel: int = flax.struct.field(pytree_node=False, default=16)
  prior: jax.Array | None = None
  prior_exponent: float | jax.Array | None = None

  def score(
    self, theta: jax.Array, luminance: jax.Array, chroma: jax.Array
  ) -> jax.Array:
    """Logarithm of what a candidate's probability is proportional to, [...].

    Args:
      theta: [..., P] of the embedding.
      luminance: [..., 1] in network units.
      chroma: [..., 2] in network units, on the integer grid.
    """
    log_prob = logistic_mixture.log_prob(theta, luminance, chroma)
    if self.prior is not None:
      prior = colour_prior.log_prob(self.prior, chroma)
      log_prob = log_prob - self.prior_exponent * prior
    return self.strength * log_prob


@flax.struct.dataclass
class SamplingSpec:
  """Settings of a draw.

  Attributes:
    samples: [S] sample numbers, or S as a Python int for numbers 0 to S - 1.
    temperature: 1 samples from the model, 0 takes each pixel's mode.
    guidance: None for exact samples.
    hints: [B, h, w, 3], known chroma (see `model.hints`); None for none.
    method: 'cached' (every layer computes every pixel once), 'parallel'
      (fixed-point iteration over whole maps), or 'naive' (the whole decoder
      for every pixel).
    fine_temperature: temperature of the finer levels; None for `temperature`.
    coarse_hints: of a model with finer levels, hints fix only the decoder's
      cells that hold them, as the mean of each; the finer levels are drawn
      from these (values that hints hold have no log-probability, still).
      Otherwise every value that is given comes out as it is.
  """

  samples: int | jax.Array = 1
  temperature: float | jax.Array = 1.0
  guidance: Guidance | None = None
  hints: jax.Array | None = None
  method: str = flax.struct.field(pytree_node=False, default='cached')
  fine_temperature: float | jax.Array | None = None
  coarse_hints: bool = flax.struct.field(pytree_node=False, default=False)

  @property
  def finer(self) -> float | jax.Array:
    """The temperature of the finer levels."""
    if self.fine_temperature is None:
      return self.temperature
    return self.fine_temperature


def spec_from_config(sampling: ml_collections.ConfigDict) -> SamplingSpec:
  """The settings in `config.sampling`."""
  guidance = Guidance(sampling.guidance) if sampling.guidance else None
  return SamplingSpec(
    samples=sampling.num_samples,
    temperature=sampling.temperature,
    guidance=guidance,
    method=sampling.method,
  )


def for_samples(
  keys: jax.Array, samples: int | jax.Array, draw_fn: Callable[..., jax.Array]
) -> jax.Array:
  """Stacks draw_fn(key of a sample) as [B S, ...]; see `draw_noise`."""
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
  """Draws the noise of some samples of each image.

  Args:
    keys: [B], one PRNG key per image.
    samples: see `SamplingSpec.samples`.
    shape: h, w, K + 2.

  Returns:
    [B S, h, w, K + 2].
  """
  return for_samples(
    keys, samples, lambda key: logistic_mixture.noise(key, shape)
  )


def _draw_candidates(
  keys: jax.Array,
  samples: int | jax.Array,
  shape: tuple[int, int, int],
  *,
  count: int,
) -> tuple[jax.Array, jax.Array]:
  """Draws noise [m, N, h, w, K + 2] for candidates and [m, N, h, w] to choose.

  Candidate i and its part of the choice use fold_in(key of the sample, i).
  """

  def draw_fn(key: jax.Array) -> jax.Array:
    # One Gumbel more than the components need: it is for the choice.
    wider = (*shape[:2], shape[2] + 1)
    return jax.vmap(
      lambda i: logistic_mixture.noise(jax.random.fold_in(key, i), wider)
    )(jnp.arange(count))

  drawn = jnp.moveaxis(for_samples(keys, samples, draw_fn), 1, 0)
  return drawn[..., 1:], drawn[..., 0]


class Conditions(NamedTuple):
  """Inputs of every method, for N = B S canvases.

  Attributes:
    embedding: [B, h, w, E].
    luminance: [N, h, w, 1] in network units.
    noise: [N, h, w, K + 2], times the temperature; with m candidates per pixel
      [m, N, h, w, K + 2].
    hints: [N, h, w, 3], known chroma; None for none.
    embedding_theta: [N, h, w, P], the embedding's mixture, with guidance.
    choice: [m, N, h, w] Gumbel noise, with guidance.
    guidance: None for exact samples.
    features: features of the backbone, read by the finer levels.
  """

  embedding: jax.Array
  luminance: jax.Array
  noise: jax.Array
  hints: jax.Array | None = None
  embedding_theta: jax.Array | None = None
  choice: jax.Array | None = None
  guidance: Guidance | None = None
  features: tuple[jax.Array, ...] = ()

  def repeated_embedding(self) -> jax.Array:
    """The embedding of each canvas, [N, h, w, E]."""
    repeats = len(self.luminance) // len(self.embedding)
    return jnp.repeat(self.embedding, repeats, 0)

  def sample(self, theta: jax.Array, place: tuple = ()) -> jax.Array:
    """Samples chroma [N, ..., 2] from theta [N, ..., P] at a place."""
    level = self.luminance[place]
    if self.embedding_theta is None:
      chroma = logistic_mixture.sample(theta, level, self.noise[place])
    else:
      chroma = self._guided(theta, place)
    if self.hints is None:
      return chroma
    return hint_maps.put(chroma, self.hints[place])

  def _guided(self, theta: jax.Array, place: tuple) -> jax.Array:
    """Chooses a candidate by the embedding's likelihood and Gumbel noise."""
    level, own = self.luminance[place], self.embedding_theta[place]
    candidates = jax.vmap(
      lambda noise: logistic_mixture.sample(theta, level, noise[place])
    )(self.noise)  # [m, N, ..., 2]
    score = jax.vmap(
      lambda chroma, choice: (
        self.guidance.score(own, level, chroma) + choice[place]
      )
    )(candidates, self.choice)
    best = score.argmax(0)[None, ..., None]
    return jnp.take_along_axis(candidates, best, 0)[0]


def prepare(
  model: pic.PIC,
  params: parameters.Params,
  luminance: jax.Array,
  *,
  keys: jax.Array,
  spec: SamplingSpec,
) -> Conditions:
  """Computes what every method reads; arguments as for `sample.draw`.

  The canvases are those of the coarsest map, and so are the hints.

  Raises:
    ValueError: guidance, and an embedding without a mixture.
  """
  hints, guidance = spec.hints, spec.guidance
  net, features = model.build_embedding(gives_features=model.levels > 0), ()
  embedding = net.apply({'params': params['embedding']}, luminance, hints=hints)
  if model.levels:
    embedding, features = embedding
  small = model.coarsest_luminance(luminance)
  shape = (*small.shape[1:3], model.num_components + 2)
  noise = spec.temperature * draw_noise(keys, spec.samples, shape)
  repeats = len(noise) // len(small)
  if hints is not None:
    hints = jnp.repeat(hints, repeats, 0)
  conditions = Conditions(
    embedding,
    jnp.repeat(small, repeats, 0),
    noise,
    hints,
    features=tuple(features),
  )
  if guidance is None or not model.has_decoder:
    return conditions
  if guidance.candidates_per_pixel == 1:
    return conditions
  if not model.embedding_has_likelihood:
    raise ValueError(
      'Guidance needs an embedding that was trained as a mixture: '
      '`model.embedding_loss_weight` is 0.'
    )
  more, choice = _draw_candidates(
    keys, spec.samples, shape, count=guidance.candidates_per_pixel
  )
  theta = conditions.repeated_embedding()[..., : model.num_outputs]
  return conditions._replace(
    # The first candidate is the sample without guidance.
    noise=(spec.temperature * more).at[0].set(noise),
    embedding_theta=theta,
    choice=choice,
    guidance=guidance,
  )
