"""Samples of a photograph's chroma, and selection among them."""

import dataclasses

import numpy as np

from pic_jax.photos import network_size, options


@dataclasses.dataclass(frozen=True)
class SampleSet:
  """Samples of the chroma of one photograph.

  Attributes:
    network_input: the photograph.
    chroma: [S, h, w, 2] in Lab units, without padding.
    bits_per_dim: [S] bits/dim of the samples; NaN if the model has no
      likelihood.
    difference: mean distance in (a, b) of all pairs of samples, in Lab units.
  """

  network_input: network_size.NetworkInput
  chroma: np.ndarray
  bits_per_dim: np.ndarray
  difference: float


def make(
  network_input: network_size.NetworkInput,
  chroma: np.ndarray,
  log_prob: np.ndarray,
  *,
  settings: options.Settings,
) -> SampleSet:
  """Makes a sample set of the samples that `settings` select; see `choose`.

  Args:
    network_input: the photograph.
    chroma: [S, h', w', 2] chroma of all drawn samples in Lab units, padded.
    log_prob: [S, h', w'] log-probabilities in nats, padded.
    settings: settings with which the samples were drawn.
  """
  height, width = network_input.map_shape
  chroma = chroma[:, :height, :width]
  bits = bits_per_dim(network_input, log_prob)
  distances = differences(chroma)
  kept = choose(settings, bits, distances)
  num_pairs = len(kept) * (len(kept) - 1)
  return SampleSet(
    network_input=network_input,
    chroma=chroma[kept],
    bits_per_dim=bits[kept],
    difference=float(distances[np.ix_(kept, kept)].sum() / max(1, num_pairs)),
  )


def choose(
  settings: options.Settings, bits: np.ndarray, distances: np.ndarray
) -> list[int]:
  """Selects the samples to keep.

  Args:
    settings: settings with which the samples were drawn.
    bits: [S] bits/dim of all drawn samples.
    distances: [S, S] mean distances of samples in (a, b), see `differences`.

  Returns:
    Indices of the selected samples.
  """
  order = np.argsort(bits, kind='stable').tolist()
  if settings.rank == 'none':
    return list(range(settings.num_drawn))
  if settings.rank == 'probable':
    return order[: settings.num_samples]
  # Starts with the most probable sample. Each following sample is the one whose
  # distance to the nearest selected sample is largest.
  kept = order[:1]
  while len(kept) < settings.num_samples:
    nearest = distances[:, kept].min(1)
    nearest[kept] = -1.0
    kept.append(int(nearest.argmax()))
  return kept


def differences(chroma: np.ndarray) -> np.ndarray:
  """Returns mean distances [S, S] in (a, b) of samples [S, h, w, 2]."""
  return np.stack(
    [np.linalg.norm(x - chroma, axis=-1).mean((1, 2)) for x in chroma]
  )


def bits_per_dim(
  network_input: network_size.NetworkInput, log_prob: np.ndarray
) -> np.ndarray:
  """Computes the bits/dim of samples of a photograph.

  A dimension is one of the two chroma values of a cell. Padding and cells whose
  chroma is known do not count. The code uses numpy, because JAX would compile a
  program for each shape.

  Args:
    network_input: the photograph.
    log_prob: [S, h', w'] log-probabilities in nats, padded.

  Returns:
    [S] bits/dim; NaN if the model has no likelihood.
  """
  height, width = network_input.map_shape
  log_prob = log_prob[:, :height, :width]
  is_unknown = np.ones((height, width))
  is_unknown[network_input.is_kept] = 0.0
  if network_input.hints is not None:
    is_unknown[network_input.hints[..., 2] > 0] = 0.0
  bits = -(is_unknown * log_prob).sum((1, 2)) / (2 * np.log(2.0))
  return bits / max(1.0, is_unknown.sum())


def finite(bits: float | None) -> float | None:
  """Converts bits/dim for JSON: NaN and infinity become None."""
  return float(bits) if bits is not None and np.isfinite(bits) else None


def bits_text(bits: list[float | None]) -> str:
  """Formats a range of bits/dim, such as '2.50 to 2.75 bits/dim'.

  Returns:
    The text; '2.50 bits/dim' if both ends are the same, '' if a value is None.
  """
  known = [x for x in bits if x is not None]
  if len(known) < len(bits):
    return ''
  ends = dict.fromkeys(f'{x:.2f}' for x in (min(known), max(known)))
  return f'{" to ".join(ends)} bits/dim'
