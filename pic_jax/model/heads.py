"""Heads, which define how theta is interpreted and trained."""

from collections.abc import Callable
from typing import NamedTuple

import jax


class Head(NamedTuple):
  """Interpretation of theta [..., P], the network's outputs for each pixel.

  Chroma [..., 2] and luminance [..., 1] are in network units.

  Attributes:
    initial_theta: [P] mean of each output at the start of training.
    estimate: (theta, luminance) -> chroma, one colour for each pixel.
    log_prob: (theta, luminance, chroma) -> [...] nats; None for a head without
      a likelihood.
    loss: (theta, chroma, weights) -> [...], the training loss of a head without
      a likelihood; None for a head that is trained on its likelihood. The
      weights are those of the colour bins (see `classification_head.loss`), or
      None.
  """

  initial_theta: tuple[float, ...]
  estimate: Callable[[jax.Array, jax.Array], jax.Array]
  log_prob: Callable[[jax.Array, jax.Array, jax.Array], jax.Array] | None = None
  loss: Callable[..., jax.Array] | None = None

  @property
  def num_outputs(self) -> int:
    """Width P of theta."""
    return len(self.initial_theta)
