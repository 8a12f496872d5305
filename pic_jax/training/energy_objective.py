"""The energy score of samples as a second training objective.

The likelihood trains the decoder on true canvases. In sampling, the decoder
reads its own pixels, and their errors add up. The energy score (Gneiting &
Raftery 2007) compares whole samples with originals. The true distribution has
the best expected likelihood and the best expected energy score, so the two
objectives do not contradict each other. Not in the paper.

The gradient is taken through the samples. With fixed noise, a sample x is the
only canvas that a pass f of the decoder over all pixels leaves unchanged:
x = f(x, w) for parameters w (see `sample.parallel`). Hence, with J = df/dx,

  dx/dw = (1 - J)^-1 df/dw.

If g is the gradient of the score with respect to x, the gradient with respect
to w is v^T df/dw, where v = (1 - J^T)^-1 g = g + J^T g + (J^T)^2 g + ...
The series is finite, because f is causal. Term n contains the effects of a
pixel on the score through n later pixels that read one another.
"""

import jax
import jax.numpy as jnp

from pic_jax.evaluation import metrics
from pic_jax.images import color
from pic_jax.model import hints, levels, logistic_mixture, parameters, pic
from pic_jax.sampling import conditions, sample

# Number of samples of each image. The energy score needs at least two.
NUM_SAMPLES = 2
# Number of terms of the series for v after g.
NUM_TERMS = 3
# Larger log-scales are reduced to this, because the product of an infinite
# scale and a weight of 0 would be NaN. Either way the samples are the limits of
# the range.
LOG_SCALE_MAX = 10.0


def straight_through_sample(
  theta: jax.Array, luminance: jax.Array, noise: jax.Array
) -> jax.Array:
  """Returns `logistic_mixture.sample`, with a gradient.

  Straight-through estimates replace the gradients of the two steps that have
  none: the choice of a component gets the gradient of the softmax of the
  perturbed logits (Jang et al. 2017), and rounding that of the identity.

  Args:
    theta: [..., P] raw outputs.
    luminance: [..., 1] in network units.
    noise: [..., K + 2], see `logistic_mixture.noise`.

  Returns:
    [..., 2] chroma in network units, on the integer grid.
  """
  mixture = logistic_mixture.unpack(theta)
  weights = jax.nn.softmax(mixture.logits + noise[..., :-2])
  # The weight of the chosen component, the largest one, is 1.
  chosen = jax.nn.one_hot(weights.argmax(-1), weights.shape[-1])
  weights += jax.lax.stop_gradient(chosen - weights)

  def draw(means: jax.Array, channel: int) -> jax.Array:
    log_scales = mixture.log_scales[..., channel, :]
    scales = jnp.exp(jnp.minimum(log_scales, LOG_SCALE_MAX))
    values = means + scales * noise[..., channel - 2, None]
    # Samples outside the range of the grid become its limits.
    value = (weights * jnp.clip(values, -1.0, 1.0)).sum(-1, keepdims=True)
    steps = logistic_mixture.nearest_grid_values(value)
    rounded = steps * (1.0 / logistic_mixture.STEPS_PER_UNIT)
    return value + jax.lax.stop_gradient(rounded - value)

  mean_a, _ = logistic_mixture.conditional_means(mixture, luminance, luminance)
  a = draw(mean_a, 0)
  _, mean_b = logistic_mixture.conditional_means(mixture, luminance, a)
  return jnp.concatenate([a, draw(mean_b, 1)], -1)


def _one_pass(
  model: pic.PIC,
  params: parameters.Params,
  inputs: conditions.SamplerInputs,
  *,
  canvas: jax.Array,
) -> jax.Array:
  """Samples every pixel given the pixels before it on the canvas.

  Returns:
    [N, h, w, 2] chroma in network units.
  """
  theta = model.build_decoder().apply(
    {'params': params['decoder']},
    canvas,
    inputs.repeated_embedding(),
    hints=inputs.hints,
  )
  drawn = straight_through_sample(theta, inputs.luminance, inputs.noise)
  return hints.put(drawn, inputs.hints)


def _mean_score(canvas: jax.Array, chroma: jax.Array) -> jax.Array:
  """Computes the mean energy score [] of canvases [B S, h, w, 2]."""
  samples = canvas.reshape(len(chroma), -1, *canvas.shape[1:])
  return metrics.energy_score_multiscale(
    color.chroma_from_network(samples), color.chroma_from_network(chroma)
  ).mean()


def energy_loss(
  model: pic.PIC,
  params: parameters.Params,
  embedding: jax.Array,
  *,
  lab: pic.LabBatch,
  hint_map: jax.Array | None,
  key: jax.Array,
  num_terms: int = NUM_TERMS,
) -> jax.Array:
  """Draws samples from the decoder and computes their mean energy score.

  Args:
    model: the network; it must have a decoder.
    params: parameters of the network.
    embedding: [B, h_0, w_0, E].
    lab: the batch.
    hint_map: [B, h, w, 3] hints on the finest grid, or None.
    key: PRNG key. The noise of the samples comes from `fold_in(key, 3)`.
    num_terms: number of terms of the series for v after g, see the module.

  Returns:
    The mean [] of `metrics.energy_score_multiscale`, in Lab units, on the
    decoder's grid. Its gradient with respect to `params` and `embedding` is
    the one that the module describes.
  """
  coarse = model.coarsest(lab)
  known = levels.hint_pyramid(hint_map, model.levels)[0]
  shape = (len(embedding) * NUM_SAMPLES, *coarse.chroma.shape[1:3])
  noise = logistic_mixture.noise(
    jax.random.fold_in(key, 3), (*shape, model.num_components + 2)
  )
  inputs = conditions.SamplerInputs(
    embedding,
    jnp.repeat(coarse.luminance_small, NUM_SAMPLES, 0),
    noise,
    None if known is None else jnp.repeat(known, NUM_SAMPLES, 0),
  )
  fixed = jax.lax.stop_gradient((params, inputs))
  canvas = jax.lax.stop_gradient(sample.cached(model, *fixed)[0])
  score, gradient = jax.value_and_grad(_mean_score)(canvas, coarse.chroma)
  _, pull_back = jax.vjp(
    lambda canvas: _one_pass(model, *fixed, canvas=canvas), canvas
  )
  total = gradient
  for _ in range(num_terms):
    total = gradient + pull_back(total)[0]
  # The value of this term is 0, and its gradient is v^T df/dw.
  redrawn = _one_pass(model, params, inputs, canvas=canvas)
  return score + jnp.vdot(total, redrawn - jax.lax.stop_gradient(redrawn))
