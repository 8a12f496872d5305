"""Settings of sampling, and the inputs that all sampling methods share."""

from collections.abc import Callable
from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import ml_collections

from pic_jax.model import colour_prior, logistic_mixture, parameters, pic
from pic_jax.model import hints as hint_maps


class Guidance(flax.struct.PyTreeNode):
  """Lets the embedding's likelihood choose among the decoder's candidates.

  The decoder proposes m candidates for each pixel. Candidate c is kept with a
  probability proportional to p_embedding(c) ** strength. The embedding predicts
  every pixel from the whole luminance, and not from sampled pixels, so it keeps
  the decoder's errors from adding up from pixel to pixel. A strength of 0 or a
  single candidate gives exact samples of the decoder.

  With a prior (see `colour_prior`) the probability is proportional to
  (p_embedding(c) / p_prior(c) ** prior_exponent) ** strength.

  Attributes:
    strength: exponent of the embedding's probability.
    candidates_per_pixel: number m of candidates.
    prior: log-probabilities [64, 64] of colours, or None for no prior.
    prior_exponent: exponent of the prior's probability, or None for no prior.
  """

  strength: float | jax.Array
  candidates_per_pixel: int = flax.struct.field(pytree_node=False, default=16)
  prior: jax.Array | None = None
  prior_exponent: float | jax.Array | None = None

  def score(
    self, theta: jax.Array, luminance: jax.Array, chroma: jax.Array
  ) -> jax.Array:
    """Returns the unnormalised log-probability of keeping a candidate.

    Args:
      theta: [..., P] raw mixture outputs of the embedding.
      luminance: [..., 1] in network units.
      chroma: [..., 2] the candidate, in network units on the integer grid.

    Returns:
      [...] float32, in nats.
    """
    log_prob = logistic_mixture.log_prob(theta, luminance, chroma)
    if self.prior is not None and self.prior_exponent is not None:
      prior_log_prob = colour_prior.log_prob(self.prior, chroma)
      log_prob = log_prob - self.prior_exponent * prior_log_prob
    return self.strength * log_prob


class SamplingSpec(flax.struct.PyTreeNode):
  """Settings of sampling.

  Attributes:
    samples: ids [S] of the samples to draw for each image, or S as a Python int
      for the ids 0 to S - 1. An id selects the noise of a sample.
    temperature: 1 samples from the model, 0 takes each pixel's mode.
    guidance: settings of guidance, or None for exact samples.
    hints: [B, h, w, 3] known chroma (see `model.hints`), or None.
    method: 'cached' (every layer computes every pixel once), 'parallel'
      (fixed-point iteration over whole maps), or 'naive' (runs the whole
      decoder for every pixel).
    fine_temperature: temperature of the finer levels; None for `temperature`.
    coarse_hints: whether hints fix only the coarsest map. A cell of this map
      that contains hints gets their rounded mean. The finer levels are then
      sampled without hints, so their values may differ from the hints. If
      False, every hinted value appears unchanged in the sampled map. In both
      cases the log-probability of hinted values is not counted. A model without
      finer levels ignores this setting.
  """

  samples: int | jax.Array = 1
  temperature: float | jax.Array = 1.0
  guidance: Guidance | None = None
  hints: jax.Array | None = None
  method: str = flax.struct.field(pytree_node=False, default='cached')
  fine_temperature: float | jax.Array | None = None
  coarse_hints: bool = flax.struct.field(pytree_node=False, default=False)

  @property
  def resolved_fine_temperature(self) -> float | jax.Array:
    """Temperature of the finer levels, where None stands for `temperature`."""
    if self.fine_temperature is None:
      return self.temperature
    return self.fine_temperature


def spec_from_config(sampling: ml_collections.ConfigDict) -> SamplingSpec:
  """Converts `config.sampling` to settings of sampling."""
  guidance = Guidance(sampling.guidance) if sampling.guidance else None
  return SamplingSpec(
    samples=sampling.num_samples,
    temperature=sampling.temperature,
    guidance=guidance,
    method=sampling.method,
  )


def for_samples(
  keys: jax.Array,
  sample_ids: int | jax.Array,
  draw_fn: Callable[..., jax.Array],
) -> jax.Array:
  """Calls `draw_fn` for every sample of every image, and stacks the results.

  Args:
    keys: [B] PRNG keys, one per image.
    sample_ids: see `SamplingSpec.samples`.
    draw_fn: function of a sample's key, which is `fold_in(key, sample id)`.

  Returns:
    [B S, ...], with the samples of an image next to each other.
  """
  if isinstance(sample_ids, int):
    sample_ids = jnp.arange(sample_ids)
  drawn = jax.vmap(
    lambda key: jax.vmap(lambda s: draw_fn(jax.random.fold_in(key, s)))(
      sample_ids
    )
  )(keys)  # [B, S, ...]
  return drawn.reshape(-1, *drawn.shape[2:])


def draw_noise(
  keys: jax.Array,
  sample_ids: int | jax.Array,
  shape: tuple[int, int, int],
) -> jax.Array:
  """Draws the noise of some samples of each image.

  Args:
    keys: [B] PRNG keys, one per image.
    sample_ids: see `SamplingSpec.samples`.
    shape: (h, w, K + 2), the shape of one sample's noise.

  Returns:
    [B S, h, w, K + 2] noise for `logistic_mixture.sample`.
  """
  return for_samples(
    keys, sample_ids, lambda key: logistic_mixture.noise(key, shape)
  )


def _draw_candidate_noise(
  keys: jax.Array,
  sample_ids: int | jax.Array,
  shape: tuple[int, int, int],
  *,
  num_candidates: int,
) -> tuple[jax.Array, jax.Array]:
  """Draws the noise of m candidates and the noise of the choice among them.

  Both kinds of noise of candidate i come from `fold_in(key of the sample, i)`.

  Args:
    keys, sample_ids, shape: see `draw_noise`.
    num_candidates: number m of candidates.

  Returns:
    [m, N, h, w, K + 2] noise of the candidates, and [m, N, h, w] Gumbel noise
    of the choice, where N = B S.
  """

  def draw_fn(key: jax.Array) -> jax.Array:
    # The first number, which is Gumbel noise, serves the choice. The mixture
    # needs the other K + 2 numbers.
    wider_shape = (*shape[:2], shape[2] + 1)
    return jax.vmap(
      lambda i: logistic_mixture.noise(jax.random.fold_in(key, i), wider_shape)
    )(jnp.arange(num_candidates))

  drawn = jnp.moveaxis(for_samples(keys, sample_ids, draw_fn), 1, 0)
  return drawn[..., 1:], drawn[..., 0]


class Choice(NamedTuple):
  """Inputs of the choice among the decoder's candidates.

  Attributes:
    guidance: settings of guidance.
    embedding_theta: [N, h, w, P] raw mixture outputs of the embedding.
    noise: [m, N, h, w] Gumbel noise.
  """

  guidance: Guidance
  embedding_theta: jax.Array
  noise: jax.Array


class SamplerInputs(NamedTuple):
  """Inputs of a sampling method.

  A canvas is the chroma map of one sample. There are S canvases for each of B
  images, N = B S in all. All maps are on the decoder's grid, except `features`.

  Attributes:
    embedding: [B, h, w, E].
    luminance: [N, h, w, 1] in network units.
    noise: [N, h, w, K + 2] noise, already multiplied by the temperature; with
      guidance [m, N, h, w, K + 2] for m candidates per pixel.
    hints: [N, h, w, 3] known chroma, or None.
    choice: inputs of guidance, or None for exact samples.
    features: feature maps of the backbone, which the finer levels read.
  """

  embedding: jax.Array
  luminance: jax.Array
  noise: jax.Array
  hints: jax.Array | None = None
  choice: Choice | None = None
  features: tuple[jax.Array, ...] = ()

  def repeated_embedding(self) -> jax.Array:
    """Repeats the embedding of each image for its canvases, [N, h, w, E]."""
    repeats = len(self.luminance) // len(self.embedding)
    return jnp.repeat(self.embedding, repeats, 0)

  def sample(self, theta: jax.Array, index: tuple = ()) -> jax.Array:
    """Samples the chroma of whole maps, or of some of their pixels.

    Args:
      theta: [N, ..., P] raw mixture outputs of the decoder for these pixels.
      index: index of these pixels in maps [N, h, w, ...]; () for whole maps.

    Returns:
      [N, ..., 2] chroma in network units. Pixels with a hint get its value.
    """
    if self.choice is None:
      chroma = logistic_mixture.sample(
        theta, self.luminance[index], self.noise[index]
      )
    else:
      chroma = self._sample_with_guidance(theta, index, self.choice)
    if self.hints is None:
      return chroma
    return hint_maps.put(chroma, self.hints[index])

  def _sample_with_guidance(
    self, theta: jax.Array, index: tuple, choice: Choice
  ) -> jax.Array:
    """Samples candidates and keeps one; see `Guidance` and `sample`."""
    luminance = self.luminance[index]
    embedding_theta = choice.embedding_theta[index]
    candidates = jax.vmap(
      lambda noise: logistic_mixture.sample(theta, luminance, noise[index])
    )(self.noise)  # [m, N, ..., 2]
    # Gumbel-max trick: the argmax of scores + noise is a sample from
    # softmax(scores).
    noisy_scores = jax.vmap(
      lambda chroma, gumbel: (
        choice.guidance.score(embedding_theta, luminance, chroma)
        + gumbel[index]
      )
    )(candidates, choice.noise)
    kept = noisy_scores.argmax(0)[None, ..., None]
    return jnp.take_along_axis(candidates, kept, 0)[0]


def prepare(
  model: pic.PIC,
  params: parameters.Params,
  luminance: jax.Array,
  *,
  keys: jax.Array,
  spec: SamplingSpec,
  embedded: pic.Embedded | None = None,
) -> SamplerInputs:
  """Computes the inputs of a sampling method.

  Args:
    model, params, luminance, keys: see `sample.draw`.
    spec: settings. The hints [B, h_0, w_0, 3] must be on the decoder's grid
      (the grid of the coarsest map), unlike the hints for `sample.draw`.
    embedded: see `sample.draw`.

  Raises:
    ValueError: if `spec` has guidance and the embedding has no likelihood.
  """
  hints, guidance = spec.hints, spec.guidance
  embedding, features = embedded or model.apply(
    {'params': params}, luminance, hints=hints, method='embed'
  )
  luminance_small = model.coarsest_luminance(luminance)
  _, height, width, _ = luminance_small.shape
  shape = (height, width, model.num_components + 2)
  noise = spec.temperature * draw_noise(keys, spec.samples, shape)
  repeats = len(noise) // len(luminance_small)
  if hints is not None:
    hints = jnp.repeat(hints, repeats, 0)
  inputs = SamplerInputs(
    embedding,
    jnp.repeat(luminance_small, repeats, 0),
    noise,
    hints,
    features=features,
  )
  if guidance is None or not model.has_decoder:
    return inputs
  if guidance.candidates_per_pixel == 1:
    return inputs
  if not model.embedding_has_likelihood:
    raise ValueError(
      'Guidance needs an embedding that was trained as a mixture, but '
      '`model.embedding_loss_weight` is 0. Set guidance to 0, or use a model '
      'that was trained with a positive weight.'
    )
  candidate_noise, choice_noise = _draw_candidate_noise(
    keys,
    spec.samples,
    shape,
    num_candidates=guidance.candidates_per_pixel,
  )
  embedding_theta = inputs.repeated_embedding()[..., : model.num_outputs]
  return inputs._replace(
    # The first candidate is the sample without guidance.
    noise=(spec.temperature * candidate_noise).at[0].set(noise),
    choice=Choice(guidance, embedding_theta, choice_noise),
  )
