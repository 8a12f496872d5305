"""Heads: what the outputs theta mean, how they are trained and read."""

from collections.abc import Callable
from typing import NamedTuple

import jax


class Head(NamedTuple):
  """The meaning of theta [..., P]. Chroma is [..., 2] in network units.

  Attributes:
    initial_theta: [P] mean of each output at the start of training.
    estimate: (theta, luminance [..., 1]) -> chroma, one colour for each pixel.
    log_prob: (theta, luminance, chroma) -> [...] nats; None for a head without
      a likelihood.
    loss: (theta, chroma, weights) -> [...], what a head without a likelihood
      is trained on, where `weights` are those of `colour_frequencies` or None;
      None for a head that is trained on its likelihood.
  """

  initial_theta: tuple[float, ...]
  estimate: Callable[[jax.Array, jax.Array], jax.Array]
  log_prob: Callable[[jax.Array, jax.Array, jax.Array], jax.Array] | None = None
  loss: Callable[..., jax.Array] | None = None

  @property
  def num_outputs(self) -> int:
    """Width P of theta."""
    return len(self.initial_theta)
