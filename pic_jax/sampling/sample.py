"""Sampling of colourisations from p(X^ab | X^L) (paper sec. 3.2).

Three exact methods. Noise is drawn once for each (image key, sample, pixel)
and values are rounded to the integer grid before they are fed back: in float32
the same key gives the same canvas whatever the method, batch or position.
Temperature and guidance act in `conditions`, finer levels in `refinement`.
"""

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

# Passes of the parallel method between two tests of convergence.
PASSES_PER_CHECK = 2


def image_keys(seed: int | jax.Array, indices: jax.Array) -> jax.Array:
  """Keys [B] of the images with these numbers [B]; see `sampling.seed`."""
  return jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), indices)


class Samples(NamedTuple):
  """Colourisations and their log-probabilities.

  Attributes:
    chroma: [B, S, h, w, 2] in network units, on the integer grid.
    log_prob: [B, S, h, w] in nats, 0 where hints fix the chroma. NaN for heads
      without a likelihood and for methods other than 'cached'.
    num_passes: passes of the whole decoder; 0 for 'cached', which makes none.
  """

  chroma: jax.Array
  log_prob: jax.Array
  num_passes: jax.Array


def cached(
  model: pic.PIC, params: parameters.Params, cond: conditions.Conditions
) -> tuple:
  """Scans the pixels: every layer computes every pixel once.

  Returns:
    Canvases [N, h, w, 2], log-probabilities [N, h, w], and 0.
  """

  def pixel_fn(
    theta: jax.Array, row: jax.Array, col: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    place = (slice(None), row, col)
    chroma = cond.sample(theta, place)
    level = cond.luminance[place]
    return chroma, logistic_mixture.log_prob(theta, level, chroma)

  num_samples = len(cond.luminance) // len(cond.embedding)
  canvas, log_prob = incremental_decoder.decode(
    model.build_decoder(),
    params['decoder'],
    cond.embedding,
    pixel_fn=pixel_fn,
    num_samples=num_samples,
    hints=None if cond.hints is None else cond.hints[::num_samples],
  )
  return canvas, jnp.moveaxis(log_prob, 2, 0), 0


def naive(
  model: pic.PIC, params: parameters.Params, cond: conditions.Conditions
) -> tuple:
  """Runs the whole decoder for each pixel: the oracle of the tests.

  Returns:
    Canvases [N, h, w, 2], None, and the number of passes.
  """
  net, embedding = model.build_decoder(), cond.repeated_embedding()
  count, height, width, _ = cond.luminance.shape

  def fill(position: jax.Array, canvas: jax.Array) -> jax.Array:
    row, col = position // width, position % width
    theta = net.apply(
      {'params': params['decoder']}, canvas, embedding, hints=cond.hints
    )
    place = (slice(None), row, col)
    return canvas.at[place].set(cond.sample(theta[place], place))

  canvas = jnp.zeros((count, height, width, 2))
  canvas = jax.lax.fori_loop(0, height * width, fill, canvas)
  return canvas, None, height * width


def parallel(
  model: pic.PIC, params: parameters.Params, cond: conditions.Conditions
) -> tuple:
  """Iterates to the fixed point.

  With its noise fixed, every pixel is a function of the pixels before it, and
  the sample is the one canvas that this function maps to itself. Each pass
  makes at least one more pixel final (Song et al. 2021, Jacobi iteration;
  Wiggers & Hoogeboom 2020).

  Returns:
    Canvases [N, h, w, 2], None, and the number of passes.
  """
  net, embedding = model.build_decoder(), cond.repeated_embedding()
  count, height, width, _ = cond.luminance.shape

  def one_pass(canvas: jax.Array) -> jax.Array:
    theta = net.apply(
      {'params': params['decoder']}, canvas, embedding, hints=cond.hints
    )
    return cond.sample(theta)

  def passes(carry: tuple) -> tuple:
    canvas, _, count = carry
    for _ in range(PASSES_PER_CHECK):
      previous, canvas = canvas, one_pass(canvas)
    return canvas, (canvas != previous).any(), count + PASSES_PER_CHECK

  start = jnp.zeros((count, height, width, 2))
  canvas, _, num_passes = jax.lax.while_loop(
    # The bound ends it for weights that are not finite, too.
    lambda carry: carry[1] & (carry[2] <= height * width),
    passes,
    (start, jnp.array(True), 0),
  )
  return canvas, None, num_passes


def feed_forward(
  model: pic.PIC, params: parameters.Params, cond: conditions.Conditions
) -> tuple:
  """Samples a model without decoder, each pixel independently (sec. 4.3).

  Returns:
    Canvases [N, h, w, 2], log-probabilities [N, h, w] and 0; a head without a
    likelihood gives its one estimate for every sample, and None.
  """
  del params  # the embedding is all there is
  theta = cond.repeated_embedding()[..., : model.num_outputs]
  if not model.has_likelihood:
    estimate = model.build_head().estimate
    return estimate(theta, cond.luminance), None, 0
  canvas = cond.sample(theta)
  log_prob = logistic_mixture.log_prob(theta, cond.luminance, canvas)
  return canvas, log_prob, 0


METHODS = {'cached': cached, 'naive': naive, 'parallel': parallel}


def draw(
  model: pic.PIC,
  params: parameters.Params,
  luminance: jax.Array,
  *,
  keys: jax.Array,
  spec: conditions.SamplingSpec,
) -> Samples:
  """Draws colourisations of grey images, with their log-probabilities.

  Guidance changes which samples are drawn; the log-probabilities stay those of
  the decoder.

  Args:
    model: the network.
    params: its (averaged) parameters.
    luminance: [B, H, W, 1] in network units.
    keys: [B], one PRNG key per image; sample s uses `fold_in(key, s)`.
    spec: settings; `hints` are [B, h, w, 3].

  Raises:
    ValueError: an unknown method, or guidance that the model cannot give.
  """
  if spec.method not in METHODS:
    raise ValueError(
      f'`method` must be one of {", ".join(METHODS)}, got {spec.method!r}.'
    )
  model = model.clone(remat=False)
  hints = levels.hint_pyramid(spec.hints, model.levels)
  cond = conditions.prepare(
    model, params, luminance, keys=keys, spec=spec.replace(hints=hints[0])
  )
  fill = METHODS[spec.method] if model.has_decoder else feed_forward
  canvas, log_prob, num_passes = fill(model, params, cond)
  if log_prob is None:
    log_prob = jnp.full(canvas.shape[:-1], jnp.nan)
  if cond.hints is not None:
    log_prob = jnp.where(cond.hints[..., 2] > 0, 0.0, log_prob)
  if model.levels:
    if spec.hints is not None:
      repeats = len(canvas) // len(luminance)
      hints = [jnp.repeat(x, repeats, 0) for x in hints]
    noise = refinement.draw_noise(
      model, keys, spec.samples, shape=canvas.shape[1:3], temperature=spec.finer
    )
    maps = refinement.Inputs(luminance, cond.embedding, cond.features, noise)
    known = [None] * model.levels if spec.coarse_hints else hints[1:]
    canvas, finer = refinement.refine(
      model, params, canvas, inputs=maps, hints=known
    )
    log_prob = levels.on_finest_grid([log_prob, *finer], hints[-1])
  shape = (len(keys), -1, *canvas.shape[1:])
  return Samples(
    canvas.reshape(shape), log_prob.reshape(shape[:-1]), jnp.array(num_passes)
  )


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
  """Draws colourisations of grey images: `draw` for outside code.

  Args:
    model, params, luminance, keys: see `draw`.
    num_samples: samples S of each image, which share one embedding.
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

  Args:
    theta: [B, h, w, P] raw outputs, for instance of the embedding.
    luminance: [B, h, w, 1] in network units.
    keys, num_samples, temperature: see `sample_chroma`; the same noise.

  Returns:
    [B, S, h, w, 2] chroma in network units, on the integer grid.
  """
  shape = (*theta.shape[1:3], theta.shape[-1] // 8 + 2)
  noise = conditions.draw_noise(keys, num_samples, shape)
  return jax.vmap(
    lambda noise: logistic_mixture.sample(theta, luminance, noise, temperature),
    1,
    1,
  )(noise.reshape(-1, num_samples, *shape))
