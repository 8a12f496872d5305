"""Learning rates and optimisers (paper sec. 3.3; Muon is not in the paper)."""

import functools
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import ml_collections
import optax

from pic_jax.model import backbone_embedding
from pic_jax.saved import run_config

# Coefficients (a, b, c) of each Newton-Schulz step (Ahn et al. 2025). They
# bring singular values to 0.98..1.14, closer to 1 than the coefficients of
# Jordan et al. 2024 do (0.68..1.13). With singular values of 1, every column of
# the update has length 1; see `_orthogonalize`.
NEWTON_SCHULZ = (
  (4.0848, -6.8946, 2.9270),
  (3.9505, -6.3029, 2.6377),
  (3.7418, -5.5913, 2.3037),
  (2.8769, -3.1427, 1.2046),
  (2.8366, -3.0525, 1.2012),
)
# Layers that read luminance or chroma, and heads, whose outputs are parameters
# of distributions. Adam trains them. When Muon also trained them, the model was
# worse by 0.055 bits/dim after 300 steps.
ADAM_LAYERS = {
  'head',
  'heads_0',
  'heads_1',
  'heads_2',
  'stage_0',
  'above_input',
  'row_input',
  'pixel_input',
  'luminance_in',
  'coarse_in',
  'drawn_in',
  'pixel_in_0',
  'pixel_in_1',
  'first_head',
  'second_head',
}
# Value in the code of the paper's authors.
ADAM_EPSILON = 1e-6


def learning_rate_fn(
  config: ml_collections.ConfigDict, initial: float
) -> optax.Schedule:
  """Builds the learning-rate schedule of a config.

  The rate starts at `initial` and is multiplied by `optimizer.decay_rate` at
  every step. In the last `optimizer.cooldown_share` of the steps, it is also
  multiplied by a factor that falls linearly from 1 to 0.

  Args:
    config: config of the run.
    initial: initial learning rate.
  """
  optimizer, num_steps = config.optimizer, config.training.num_steps
  decay = optax.exponential_decay(
    initial, transition_steps=1, decay_rate=optimizer.decay_rate
  )
  cooldown_steps = round(optimizer.cooldown_share * num_steps)
  if not cooldown_steps:
    return decay
  cooldown = optax.linear_schedule(
    1.0, 0.0, cooldown_steps, num_steps - cooldown_steps
  )
  return lambda step: decay(step) * cooldown(step)


def orthogonal_factor(x: jax.Array) -> jax.Array:
  """Approximates the orthogonal factor U V^T of a matrix x = U S V^T.

  This is the Newton-Schulz iteration (Jordan et al. 2024): X_{k+1} = X_k P_k
  with P_k = a + b G_k + c G_k^2 and G_k = X_k^T X_k. The steps multiply only
  the small Gram matrices G_k. The large x enters only the first and the last
  product.

  Args:
    x: [r, c].

  Returns:
    The factor [r, c].
  """
  if x.shape[0] < x.shape[1]:
    return orthogonal_factor(x.T).T
  x = x / (jnp.linalg.norm(x) + 1e-20)
  gram = jnp.dot(x.T, x, precision='highest')
  identity = product = jnp.eye(x.shape[1])
  for a, b, c in NEWTON_SCHULZ:
    polynomial = a * identity + b * gram + c * (gram @ gram)  # P_k
    product, gram = product @ polynomial, polynomial @ gram @ polynomial
  return x @ product


def _orthogonalize(update: jax.Array, V: jax.Array) -> jax.Array:
  """Replaces the momentum of a kernel with its scaled orthogonal factor.

  With weight normalisation, the length of a column V_k of the kernel has no
  effect; only its direction V_k / |V_k| matters. Every column of the orthogonal
  factor has length 1 and is scaled to |V_k|. A step with learning rate r
  therefore turns the direction by an angle of about r.

  Args:
    update: [height, width, C, F], the momentum.
    V: [height, width, C, F], the F directions.
  """
  factor = orthogonal_factor(update.reshape(-1, V.shape[-1]))
  # In a wide factor the rows, not the columns, have length 1. The scale gives
  # the columns a root-mean-square length of 1.
  factor *= max(1.0, factor.shape[1] / factor.shape[0]) ** 0.5
  return factor.reshape(V.shape) * _lengths(V)


def _lengths(V: jax.Array) -> jax.Array:
  """Computes the lengths [1, 1, 1, F] of the directions V."""
  return jnp.sqrt(jnp.square(V).sum((0, 1, 2), keepdims=True))


def _keep_length(update: jax.Array, V: jax.Array) -> jax.Array:
  """Changes an update so that the length of every direction stays the same.

  The network's output does not depend on the lengths. But without this change
  the lengths would grow by 1 % per step. They would overflow float16 within
  1,000 steps and float32 within 8,000, and the last hundred steps would
  dominate the moving average of V.
  """
  turned = V + update
  return turned * (_lengths(V) / _lengths(turned)) - V


def muon(learning_rate: optax.Schedule) -> optax.GradientTransformation:
  """Builds Muon (Jordan et al. 2024) for weight-normalised convolutions.

  The parameters are the directions V of the kernels. `optax.contrib.muon` is
  not used, because its updates ignore the lengths of the directions, and its
  state has one more array for each kernel.

  Args:
    learning_rate: schedule of the approximate angle, in radians, by which a
      direction turns in a step.
  """
  return optax.chain(
    optax.trace(0.95, nesterov=True),
    optax.stateless(
      lambda updates, params: jax.tree.map(_orthogonalize, updates, params)
    ),
    optax.scale_by_learning_rate(learning_rate),
    optax.stateless(
      lambda updates, params: jax.tree.map(_keep_length, updates, params)
    ),
  )


def _label(path: tuple[Any, ...], _: jax.Array) -> str:
  """Returns the name of the optimiser of a parameter: 'muon' or 'adam'."""
  names = {key.key for key in path}
  return 'muon' if 'V' in names and not names & ADAM_LAYERS else 'adam'


def make_optimizer(
  config: ml_collections.ConfigDict,
) -> optax.GradientTransformation:
  """Builds the optimiser of a config, Adam or Muon.

  With `optimizer.name=muon`, Muon updates the directions of the hidden
  convolutions, and Adam updates all other parameters. Adam's epsilon is added
  after the bias correction. Frozen parameters are not updated.
  """
  optimizer = config.optimizer
  adam = optax.adam(
    learning_rate_fn(config, optimizer.learning_rate),
    b1=optimizer.b1,
    b2=optimizer.b2,
    eps=ADAM_EPSILON,
  )
  chosen = adam
  if optimizer.name == 'muon':
    muon_hidden = muon(learning_rate_fn(config, optimizer.muon_learning_rate))
    chosen = optax.partition(
      {'adam': adam, 'muon': muon_hidden},
      lambda params: jax.tree_util.tree_map_with_path(_label, params),
    )
  model = run_config.build_model(config)
  frozen = config.training.frozen
  if model.backbone == 'none' and not frozen:
    return chosen

  def learns(path: tuple[str, ...], _: Any) -> bool:
    is_frozen = backbone_embedding.is_frozen(path, model.frozen_parts)
    return not is_frozen and path[0] not in frozen

  # The gradients of frozen parameters are 0 already. The mask only avoids
  # allocating their moments.
  return optax.masked(
    chosen, functools.partial(flax.traverse_util.path_aware_map, learns)
  )
