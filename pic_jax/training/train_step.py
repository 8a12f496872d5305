"""The state of training and one step of it (paper sec. 3.3, eq. 3)."""

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from pic_jax.model import hints, logistic_mixture, pic
from pic_jax.runtime import devices


class TrainState(flax.struct.PyTreeNode):
  """Everything a checkpoint holds: arrays only.

  Attributes:
    step: [] int32, steps done.
    params: parameters of `PIC`.
    ema_params: their exponential moving average (Polyak averaging).
    opt_state: of the optimiser, see `optimizers`.
    num_skipped: [] int32, updates left out because the loss or the gradient
      was not finite.
    skipped_in_row: [] int32, the same since the last good one.
  """

  step: jax.Array
  params: Any
  ema_params: Any
  opt_state: Any
  num_skipped: jax.Array
  skipped_in_row: jax.Array


def create(params: Any, optimizer: optax.GradientTransformation) -> TrainState:
  """A state at step 0 whose average is the parameters themselves."""
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    params=params,
    ema_params=jax.tree.map(jnp.copy, params),
    opt_state=optimizer.init(params),
    num_skipped=jnp.zeros((), jnp.int32),
    skipped_in_row=jnp.zeros((), jnp.int32),
  )


def group_norms(tree: Any) -> dict[str, jax.Array]:
  """Euclidean norm [] of every layer or block: 'decoder/head', ..."""
  return {
    f'{network}/{layer}': optax.tree.norm(leaves)
    for network, layers in tree.items()
    for layer, leaves in layers.items()
  }


def ema_decay_at(step: jax.Array, ema_decay: float) -> jax.Array:
  """min(ema_decay, (1 + step) / (10 + step)), step counted from 0.

  The ramp keeps the initial weights out of the average of a short run.
  """
  return jnp.minimum(ema_decay, (1.0 + step) / (10.0 + step))


def average(mean: Any, new: Any, decay: jax.Array) -> Any:
  """Exponential average; what does not change is exactly its own average."""
  return jax.tree.map(lambda x, y: x + (1.0 - decay) * (y - x), mean, new)


def loss_fn(
  model: pic.PIC, class_weights: np.ndarray | None = None
) -> Callable[..., tuple[jax.Array, dict[str, jax.Array]]]:
  """Mean bits/dim plus the weighted auxiliary likelihood of the embedding.

  Of a head without a likelihood: its own loss.

  Args:
    model: the network.
    class_weights: [Q], see `classification_head.class_weights`.

  Returns:
    (params, rgb [B, H, W, 3] uint8, dropout_key) -> the loss [], and its parts.
  """

  def loss(
    params: Any, rgb: jax.Array, dropout_key: jax.Array
  ) -> tuple[jax.Array, dict[str, jax.Array]]:
    lab = model.split_lab(rgb)
    given = None
    if model.hint_share:
      key = jax.random.fold_in(dropout_key, 1)
      given = hints.draw(key, lab.chroma, model.hint_share)
    theta, embedding = model.apply(
      {'params': params},
      lab.luminance,
      lab.chroma,
      train=True,
      hints=given,
      rngs={'dropout': dropout_key},
    )

    if not model.has_likelihood:
      loss_fn = model.build_head().loss
      total = loss_fn(theta, lab.chroma, class_weights).mean()
      return total, {'loss': total}

    def mean_bits(outputs: jax.Array) -> jax.Array:
      log_prob = logistic_mixture.log_prob(
        outputs, lab.luminance_small, lab.chroma
      )
      return logistic_mixture.bits_per_dim(log_prob, given).mean()

    total = bits = mean_bits(theta)
    parts = {'bits_per_dim': bits}
    if model.embedding_loss_weight:
      parts['embedding_bits_per_dim'] = mean_bits(
        embedding[..., : model.num_outputs]
      )
      total += model.embedding_loss_weight * parts['embedding_bits_per_dim']
    return total, parts | {'loss': total}

  return loss


def train_step_fn(
  model: pic.PIC,
  optimizer: optax.GradientTransformation,
  ema_decay: float,
  class_weights: np.ndarray | None = None,
) -> Callable[..., tuple[TrainState, dict[str, jax.Array]]]:
  """Makes the step that `devices.pmap` maps.

  Returns:
    (state, rgb [b, H, W, 3] uint8, key) -> (state, metrics); the gradients and
    metrics are averaged over all devices, dropout differs on each of them. A
    loss or gradient that is not finite changes nothing but the counters.
  """
  grad_fn = jax.grad(loss_fn(model, class_weights), has_aux=True)

  def train_step(
    state: TrainState, rgb: jax.Array, key: jax.Array
  ) -> tuple[TrainState, dict[str, jax.Array]]:
    key = jax.random.fold_in(key, state.step)
    key = jax.random.fold_in(key, devices.index())
    grads, parts = devices.mean(grad_fn(state.params, rgb, key))
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    decay = ema_decay_at(state.step, ema_decay)
    ema_params = average(state.ema_params, params, decay)
    norms = group_norms(grads)
    parts['grad_norm'] = jnp.linalg.norm(jnp.stack(list(norms.values())))
    is_finite = jnp.isfinite(parts['loss']) & jnp.isfinite(parts['grad_norm'])
    updated = (params, ema_params, opt_state)
    before = (state.params, state.ema_params, state.opt_state)
    kept = jax.tree.map(
      lambda new, old: jnp.where(is_finite, new, old), updated, before
    )
    skipped_in_row = jnp.where(is_finite, 0, state.skipped_in_row + 1)
    state = TrainState(
      state.step + 1,
      *kept,
      num_skipped=state.num_skipped + ~is_finite,
      skipped_in_row=skipped_in_row,
    )
    return state, parts | {
      'skipped_in_row': skipped_in_row,
      'num_skipped': state.num_skipped,
      'group_norms': norms,
    }

  return train_step
