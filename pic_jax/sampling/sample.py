"""Sampling of colourisations from p(X^ab | X^L) (paper sec. 3.2).

The three `METHODS` draw from the same distribution. Noise is drawn once for
each (image key, sample, pixel), and values are rounded to the integer grid
before the decoder reads them. In float32 the same key therefore gives the same
canvas with every method, in every batch and at every position in the batch.
`conditions` applies temperature and guidance; `refinement` samples the finer
levels.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from pic_jax.model import (
  incremental_decoder,
  levels,
  logistic_mixture,
  parameters,
  pic,
)
from pic_jax.sampling import conditions, refinement

# Number of passes of the parallel method between two checks for convergence.
PASSES_PER_CHECK = 2


def image_keys(seed: int | jax.Array, indices: jax.Array) -> jax.Array:
  """Returns a PRNG key for each image of a data set.

  Args:
    seed: `config.sampling.seed`.
    indices: [B] indices of the images in the data set.

  Returns:
    [B] keys.
  """
  return jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), indices)


class Samples(NamedTuple):
  """Colourisations and their log-probabilities.

  Attributes:
    chroma: [B, S, h, w, 2] in network units, on the integer grid.
    log_prob: [B, S, h, w] in nats, 0 at pixels with a hint. It is NaN for
      heads without a likelihood, and for a decoder that was run with a method
      other than 'cached'.
    num_passes: number of passes that the decoder made over whole maps; 0 for
      'cached', which runs the decoder pixel by pixel, and without a decoder.
  """

  chroma: jax.Array
  log_prob: jax.Array
  num_passes: jax.Array


def cached(
  model: pic.PIC, params: parameters.Params, inputs: conditions.SamplerInputs
) -> tuple:
  """Samples one pixel after another; every layer computes every pixel once.

  Returns:
    Canvases [N, h, w, 2], their log-probabilities [N, h, w], and 0, the number
    of passes over whole maps.
  """

  def pixel_fn(
    theta: jax.Array, row: jax.Array, col: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    index = (slice(None), row, col)
    chroma = inputs.sample(theta, index)
    luminance = inputs.luminance[index]
    return chroma, logistic_mixture.log_prob(theta, luminance, chroma)

  num_samples = len(inputs.luminance) // len(inputs.embedding)
  canvas, log_prob = incremental_decoder.decode(
    model.build_decoder(),
    params['decoder'],
    inputs.embedding,
    pixel_fn=pixel_fn,
    num_samples=num_samples,
    hints=None if inputs.hints is None else inputs.hints[::num_samples],
  )
  return canvas, jnp.moveaxis(log_prob, 2, 0), 0


def naive(
  model: pic.PIC, params: parameters.Params, inputs: conditions.SamplerInputs
) -> tuple:
  """Runs the whole decoder again for every pixel, as a reference for tests.

  Returns:
    Canvases [N, h, w, 2], None for their log-probabilities, and the number of
    passes.
  """
  net, embedding = model.build_decoder(), inputs.repeated_embedding()
  num_canvases, height, width, _ = inputs.luminance.shape

  def fill(position: jax.Array, canvas: jax.Array) -> jax.Array:
    row, col = position // width, position % width
    theta = net.apply(
      {'params': params['decoder']}, canvas, embedding, hints=inputs.hints
    )
    index = (slice(None), row, col)
    return canvas.at[index].set(inputs.sample(theta[index], index))

  canvas = jnp.zeros((num_canvases, height, width, 2))
  canvas = jax.lax.fori_loop(0, height * width, fill, canvas)
  return canvas, None, height * width


def parallel(
  model: pic.PIC, params: parameters.Params, inputs: conditions.SamplerInputs
) -> tuple:
  """Samples whole maps again and again until they no longer change.

  With the noise fixed, every pixel is a function of the pixels before it. The
  sample is the only canvas that a pass over all pixels leaves unchanged. Each
  pass makes at least one more pixel final (Song et al. 2021, Jacobi iteration;
  Wiggers & Hoogeboom 2020).

  Returns:
    Canvases [N, h, w, 2], None for their log-probabilities, and the number of
    passes.
  """
  net, embedding = model.build_decoder(), inputs.repeated_embedding()
  num_canvases, height, width, _ = inputs.luminance.shape

  def run_pass(canvas: jax.Array) -> jax.Array:
    theta = net.apply(
      {'params': params['decoder']}, canvas, embedding, hints=inputs.hints
    )
    return inputs.sample(theta)

  def run_passes(carry: tuple) -> tuple:
    canvas, _, num_passes = carry
    for _ in range(PASSES_PER_CHECK):
      previous, canvas = canvas, run_pass(canvas)
    return canvas, (canvas != previous).any(), num_passes + PASSES_PER_CHECK

  start = jnp.zeros((num_canvases, height, width, 2))
  canvas, _, num_passes = jax.lax.while_loop(
    # Weights that are not finite give NaN, which never equals itself. Then only
    # the limit on the number of passes ends the loop.
    lambda carry: carry[1] & (carry[2] <= height * width),
    run_passes,
    (start, jnp.array(True), 0),
  )
  return canvas, None, num_passes


def feed_forward(
  model: pic.PIC, params: parameters.Params, inputs: conditions.SamplerInputs
) -> tuple:
  """Samples each pixel independently, for models without a decoder (sec. 4.3).

  Returns:
    Canvases [N, h, w, 2], their log-probabilities [N, h, w], and 0, the number
    of the decoder's passes. If the head has no likelihood, every sample is the
    head's estimate, and None replaces the log-probabilities.
  """
  del params  # `inputs` already contains the embedding
  theta = inputs.repeated_embedding()[..., : model.num_outputs]
  if not model.has_likelihood:
    estimate = model.build_head().estimate
    return estimate(theta, inputs.luminance), None, 0
  canvas = inputs.sample(theta)
  log_prob = logistic_mixture.log_prob(theta, inputs.luminance, canvas)
  return canvas, log_prob, 0


METHODS = {'cached': cached, 'naive': naive, 'parallel': parallel}


def _fill_fn(model: pic.PIC, method: str) -> Callable[..., tuple]:
  """Returns the function that fills the canvases of a model.

  Raises:
    ValueError: if the method is unknown.
  """
  if method not in METHODS:
    raise ValueError(
      f'`method` must be one of {", ".join(METHODS)}, got {method!r}.'
    )
  return METHODS[method] if model.has_decoder else feed_forward


def _without_hinted(log_prob: jax.Array, hints: jax.Array | None) -> jax.Array:
  """Sets log-probabilities [N, h, w] to 0 at the pixels that have a hint.

  Finer levels that read no hints score the hinted values as well.

  Args:
    log_prob: [N, h, w] nats.
    hints: [N, h, w, 3], or None.
  """
  if hints is None:
    return log_prob
  return jnp.where(hints[..., 2] > 0, 0.0, log_prob)


def draw(
  model: pic.PIC,
  params: parameters.Params,
  luminance: jax.Array,
  *,
  keys: jax.Array,
  spec: conditions.SamplingSpec,
  embedded: pic.Embedded | None = None,
) -> Samples:
  """Draws colourisations of grey images, with their log-probabilities.

  Guidance changes which samples are drawn. Their log-probabilities are always
  computed without guidance.

  Args:
    model: the network.
    params: (averaged) parameters of the network.
    luminance: [B, H, W, 1] in network units.
    keys: [B] PRNG keys, one per image; sample s uses `fold_in(key, s)`.
    spec: settings. Its hints [B, h, w, 3] are on the finest grid.
    embedded: result of `PIC.embed` for this luminance and these hints, or None
      to compute it here.

  Raises:
    ValueError: if the method is unknown, or if `spec` has guidance and the
      embedding has no likelihood.
  """
  fill = _fill_fn(model, spec.method)
  model = model.clone(remat=False)  # there is no backward pass
  hints = levels.hint_pyramid(spec.hints, model.levels)
  coarse_spec = spec.replace(hints=hints[0])
  inputs = conditions.prepare(
    model, params, luminance, keys=keys, spec=coarse_spec, embedded=embedded
  )
  canvas, log_prob, num_passes = fill(model, params, inputs)
  if log_prob is None:
    log_prob = jnp.full(canvas.shape[:-1], jnp.nan)
  log_prob = _without_hinted(log_prob, inputs.hints)
  if model.levels:
    repeats = len(canvas) // len(luminance)
    hints = [x if x is None else jnp.repeat(x, repeats, 0) for x in hints]
    temperature = spec.resolved_fine_temperature
    noise = refinement.draw_noise(
      model, keys, spec.samples, grid=canvas.shape[1:3], temperature=temperature
    )
    embedding, features = inputs.embedding, inputs.features
    canvas, level_log_probs = refinement.refine(
      model,
      params,
      canvas,
      inputs=refinement.Inputs(luminance, embedding, features, noise),
      hints=[None] * model.levels if spec.coarse_hints else hints[1:],
    )
    log_prob = levels.on_finest_grid(
      [log_prob, *level_log_probs], None if spec.coarse_hints else hints[-1]
    )
    log_prob = _without_hinted(log_prob, hints[-1])
  shape = (len(keys), -1, *canvas.shape[1:])
  canvas, log_prob = canvas.reshape(shape), log_prob.reshape(shape[:-1])
  return Samples(canvas, log_prob, jnp.array(num_passes))


def sample_chroma(  # noqa: PLR0913, PLR0917  documented in docs/api.md
  model: pic.PIC,
  params: parameters.Params,
  luminance: jax.Array,
  keys: jax.Array,
  num_samples: int = 1,
  temperature: float | jax.Array = 1.0,
  method: str = 'cached',
  hints: jax.Array | None = None,
) -> jax.Array:
  """Draws colourisations of grey images; a simpler form of `draw`.

  Args:
    model, params, luminance, keys: see `draw`.
    num_samples: number S of samples of each image, which share one embedding.
    temperature, method, hints: see `conditions.SamplingSpec`.

  Returns:
    [B, S, h, w, 2] chroma in network units, on the integer grid.
  """
  spec = conditions.SamplingSpec(
    num_samples, temperature, hints=hints, method=method
  )
  return draw(model, params, luminance, keys=keys, spec=spec).chroma


def sample_independently(
  theta: jax.Array,
  luminance: jax.Array,
  *,
  keys: jax.Array,
  num_samples: int,
  temperature: float | jax.Array,
) -> jax.Array:
  """Draws each pixel independently from its own mixture, without a decoder.

  Equal keys give the same noise as in `sample_chroma`.

  Args:
    theta: [B, h, w, P] raw mixture outputs, for instance of the embedding.
    luminance: [B, h, w, 1] in network units.
    keys, num_samples, temperature: see `sample_chroma`.

  Returns:
    [B, S, h, w, 2] chroma in network units, on the integer grid.
  """
  _, height, width, num_outputs = theta.shape
  shape = (height, width, num_outputs // 8 + 2)
  noise = conditions.draw_noise(keys, num_samples, shape)
  return jax.vmap(
    lambda noise: logistic_mixture.sample(theta, luminance, noise, temperature),
    in_axes=1,
    out_axes=1,
  )(noise.reshape(-1, num_samples, *shape))
