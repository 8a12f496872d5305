"""Drawing colourisations from p(X^ab | X^L) (paper sec. 3.2).

Three exact methods. Noise is drawn once for each (image key, sample, pixel)
and values are rounded to the integer grid before they are fed back: in float32
the same key gives the same canvas whatever the method, batch or position.
"""

import jax
import jax.numpy as jnp

from pic_jax.images import color
from pic_jax.model import (
  causal_decoder,
  incremental_decoder,
  logistic_mixture,
  pic,
)

METHODS = ('cached', 'naive', 'parallel')
# Passes of the parallel method between two looks at whether anything changes.
PASSES_PER_CHECK = 2


def image_keys(seed: int | jax.Array, indices: jax.Array) -> jax.Array:
  """[B] keys of the images with these numbers [B]; `sampling.seed`."""
  return jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), indices)


def draw_noise(
  keys: jax.Array, num_samples: int, shape: tuple[int, int, int]
) -> jax.Array:
  """[B S, h, w, K + 2] noise of S samples for each of [B] image keys."""

  def of_sample(key: jax.Array, index: jax.Array) -> jax.Array:
    return logistic_mixture.noise(jax.random.fold_in(key, index), shape)

  samples = jnp.arange(num_samples)
  noise = jax.vmap(lambda key: jax.vmap(lambda s: of_sample(key, s))(samples))(
    keys
  )  # [B, S, h, w, K + 2]
  return noise.reshape(-1, *shape)


def prepare(
  model: pic.PIC,
  params: dict,
  luminance: jax.Array,
  keys: jax.Array,
  num_samples: int,
  chroma_filter: str,
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Computes what every method is given; arguments as in `sample_chroma`.

  Returns:
    Embedding [B, h, w, E], luminance [B S, h, w, 1], noise [B S, h, w, K + 2].
  """
  embedding = model.build_embedding().apply(
    {'params': params['embedding']}, luminance
  )
  small = color.subsample(luminance, model.chroma_factor, chroma_filter)
  shape = (*small.shape[1:3], model.num_components + 2)
  noise = draw_noise(keys, num_samples, shape)
  return embedding, jnp.repeat(small, num_samples, 0), noise


def cached(
  net: causal_decoder.CausalDecoder,
  params: dict,
  embedding: jax.Array,
  luminance: jax.Array,
  noise: jax.Array,
  temperature: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  """Scans the pixels; returns canvases and log-probabilities [N, h, w]."""

  def pixel_fn(
    theta: jax.Array, row: jax.Array, col: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    level = luminance[:, row, col]
    chroma = logistic_mixture.sample(
      theta, level, noise[:, row, col], temperature
    )
    return chroma, logistic_mixture.log_prob(theta, level, chroma)

  num_samples = noise.shape[0] // embedding.shape[0]
  canvas, log_prob = incremental_decoder.decode(
    net, params, embedding, pixel_fn, num_samples
  )
  return canvas, jnp.moveaxis(log_prob, 2, 0)


def naive(
  net: causal_decoder.CausalDecoder,
  params: dict,
  embedding: jax.Array,
  luminance: jax.Array,
  noise: jax.Array,
  temperature: jax.Array,
) -> tuple[jax.Array, int]:
  """Runs the whole decoder for each pixel; returns canvases and passes."""
  count, height, width, _ = noise.shape
  embedding = jnp.repeat(embedding, count // embedding.shape[0], 0)

  def fill(position: jax.Array, canvas: jax.Array) -> jax.Array:
    row, col = position // width, position % width
    theta = net.apply({'params': params}, canvas, embedding)
    chroma = logistic_mixture.sample(
      theta[:, row, col],
      luminance[:, row, col],
      noise[:, row, col],
      temperature,
    )
    return canvas.at[:, row, col].set(chroma)

  canvas = jnp.zeros((count, height, width, 2))
  return jax.lax.fori_loop(0, height * width, fill, canvas), height * width


def parallel(
  net: causal_decoder.CausalDecoder,
  params: dict,
  embedding: jax.Array,
  luminance: jax.Array,
  noise: jax.Array,
  temperature: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  """Iterates to the fixed point; returns canvases and passes.

  With its noise fixed, every pixel is a function of the pixels before it, and
  the sample is the one canvas that this function maps to itself. Each pass
  makes at least one more pixel final (Song et al. 2021, Jacobi iteration;
  Wiggers & Hoogeboom 2020).
  """
  count, height, width, _ = noise.shape
  embedding = jnp.repeat(embedding, count // embedding.shape[0], 0)

  def one_pass(canvas: jax.Array) -> jax.Array:
    theta = net.apply({'params': params}, canvas, embedding)
    return logistic_mixture.sample(theta, luminance, noise, temperature)

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
  return canvas, num_passes


def feed_forward(
  model: pic.PIC,
  embedding: jax.Array,
  luminance: jax.Array,
  noise: jax.Array,
  temperature: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  """Chroma of a model without decoder, every pixel by itself (sec. 4.3).

  Returns:
    Canvases [N, h, w, 2] and log-probabilities [N, h, w]; a head without a
    likelihood gives its one estimate for every sample, and NaN.
  """
  theta = embedding[..., : model.num_outputs]
  theta = jnp.repeat(theta, len(noise) // len(theta), 0)
  if not model.has_likelihood:
    return model.estimate(theta, luminance), jnp.full(theta.shape[:-1], jnp.nan)
  canvas = logistic_mixture.sample(theta, luminance, noise, temperature)
  return canvas, logistic_mixture.log_prob(theta, luminance, canvas)


def run(
  model: pic.PIC,
  params: dict,
  luminance: jax.Array,
  keys: jax.Array,
  num_samples: int,
  temperature: float | jax.Array,
  method: str,
  chroma_filter: str,
) -> tuple[jax.Array, jax.Array | int]:
  """Draws like `sample_chroma`, and returns what the method counted, too.

  Returns:
    Chroma [B, S, h, w, 2]; log-probabilities [B S, h, w] in nats ('cached', and
    without a decoder any method), or the number of passes of the whole decoder
    ('naive', 'parallel').
  """
  methods = {'cached': cached, 'naive': naive, 'parallel': parallel}
  if method not in methods:
    raise ValueError(f'`method` must be one of {METHODS}, got {method!r}.')
  model = model.clone(remat=False)
  given = prepare(model, params, luminance, keys, num_samples, chroma_filter)
  temperature = jnp.asarray(temperature, jnp.float32)
  if model.has_decoder:
    canvas, counted = methods[method](
      model.build_decoder(), params['decoder'], *given, temperature
    )
  else:
    canvas, counted = feed_forward(model, *given, temperature)
  return canvas.reshape(-1, num_samples, *canvas.shape[1:]), counted


def sample_chroma(
  model: pic.PIC,
  params: dict,
  luminance: jax.Array,
  keys: jax.Array,
  num_samples: int = 1,
  temperature: float | jax.Array = 1.0,
  method: str = 'cached',
  chroma_filter: str = 'point',
) -> jax.Array:
  """Draws colourisations of grey images.

  Args:
    model: the network.
    params: its (averaged) parameters.
    luminance: [B, H, W, 1] in network units.
    keys: [B], one PRNG key per image; sample s uses `fold_in(key, s)`.
    num_samples: samples S of each image, which share one embedding.
    temperature: 1 samples from the model, 0 takes each pixel's mode.
    method: 'cached' (every layer computes every pixel once), 'parallel'
      (fixed-point iteration over whole maps), or 'naive' (the whole decoder
      for every pixel: the oracle of the tests).
    chroma_filter: how the model's training data was subsampled.

  Returns:
    [B, S, h, w, 2] chroma in network units, on the integer grid.
  """
  chroma, _ = run(
    model,
    params,
    luminance,
    keys,
    num_samples,
    temperature,
    method,
    chroma_filter,
  )
  return chroma


def sample_independently(
  theta: jax.Array,
  luminance: jax.Array,
  keys: jax.Array,
  num_samples: int,
  temperature: float | jax.Array,
) -> jax.Array:
  """Draws every pixel from a mixture of its own, without a decoder.

  Args:
    theta: [B, h, w, P] raw outputs, for instance of the embedding.
    luminance: [B, h, w, 1] in network units.
    keys, num_samples, temperature: see `sample_chroma`; the same noise.

  Returns:
    [B, S, h, w, 2] chroma in network units, on the integer grid.
  """
  shape = (*theta.shape[1:3], theta.shape[-1] // 8 + 2)
  noise = draw_noise(keys, num_samples, shape)
  return jax.vmap(
    lambda noise: logistic_mixture.sample(theta, luminance, noise, temperature),
    1,
    1,
  )(noise.reshape(-1, num_samples, *shape))


def to_rgb(
  luminance: jax.Array, chroma: jax.Array, chroma_filter: str
) -> jax.Array:
  """Joins luminance and sampled chroma.

  Args:
    luminance: [B, H, W, 1] in network units.
    chroma: [B, S, h, w, 2] in network units.
    chroma_filter: see `color.upsample`.

  Returns:
    [B, S, H, W, 3] uint8.
  """
  batch, num_samples, height, width, _ = chroma.shape
  lab = color.chroma_from_network(chroma.reshape(-1, height, width, 2))
  factor = luminance.shape[1] // height
  lab = color.upsample(lab, factor, chroma_filter)
  lab = lab.reshape(batch, num_samples, *luminance.shape[1:3], 2)
  grey = color.luminance_from_network(luminance)[:, None]
  grey = jnp.broadcast_to(grey, (*lab.shape[:-1], 1))
  return color.lab_to_rgb(jnp.concatenate([grey, lab], -1))
