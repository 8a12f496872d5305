"""Proof of the likelihood: a code of that length, which is decoded again.

A range coder codes the chroma of images by the exact probabilities of each
pixel given the pixels before it, and decodes it (Rissanen & Langdon 1981). It
is no file format: coding and decoding must run the same compiled program at the
same batch size on the same machine, because the last bits of a convolution
depend on all of these.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jax.experimental import io_callback

from pic_jax.data import input_pipeline
from pic_jax.evaluation import level_code, likelihood
from pic_jax.model import (
  incremental_decoder,
  levels,
  logistic_mixture,
  parameters,
  pic,
)
from pic_jax.runtime import devices, errors, terminal
from pic_jax.saved import run_config

NUM_LEVELS = 256
HALF_RANGE = logistic_mixture.HALF_RANGE
LEVELS_PER_UNIT = logistic_mixture.LEVELS_PER_UNIT
# Gives symbols [N, ...] from their probabilities [N, ..., S]: those to code, or
# the ones decoded. The place is (row, col, channel) of a pixel of the coarsest
# map, or (level, number of the symbol) for all cells of a finer level.
SymbolFn = Callable[[np.ndarray, tuple[int, ...]], np.ndarray]


def probabilities(
  log_weights: jax.Array, means: jax.Array, log_scales: jax.Array
) -> jax.Array:
  """[N, NUM_LEVELS] of a channel's levels under mixtures [N, K]."""
  values = (jnp.arange(NUM_LEVELS) - HALF_RANGE)[None, :, None]
  log_mass = logistic_mixture.log_mass(
    values, means[:, None], log_scales[:, None]
  )
  log_weights = jax.nn.log_softmax(log_weights)[:, None]
  return jnp.exp(jax.nn.logsumexp(log_weights + log_mass, -1))


def check(config: ml_collections.ConfigDict) -> None:
  """Checks that chroma can be coded.

  Raises:
    UserError: no range coder is installed, or the model has no decoder.
  """
  try:
    import constriction  # noqa: F401
  except ImportError:
    raise errors.UserError(
      "Coding images needs a range coder: pip install 'constriction>=0.4,<0.6'."
    ) from None
  if config.model.head != 'decoder':
    raise errors.UserError(
      f'Coding images needs `model.head=decoder`, got {config.model.head}.'
    )


def measure(
  config: ml_collections.ConfigDict,
  params: parameters.Params,
  source: Sequence[np.ndarray],
  *,
  num_images: int,
) -> dict[str, Any]:
  """Codes the first images of a source, decodes them, and compares.

  Args:
    config: of the model, evaluation and sampling.
    params: replicated (averaged) parameters.
    source: see `input_pipeline.open_source`.
    num_images: -1 for all.

  Returns:
    `num_coded_images`, `code_bytes`, `likelihood_bytes` (what the exact rule
    promises), `num_decoded_exactly`.

  Raises:
    UserError: see `check`.
  """
  check(config)
  model = run_config.build_model(config).clone(remat=False)
  coder = Coder(model)
  report = likelihood.evaluate(config, params, source, num_images=num_images)
  count = report['num_images']
  promised = report['bits_per_image'] * count / 8
  params = jax.device_put(devices.fetch(params))
  code_bytes = num_exact = 0
  for rgb, indices, mask in input_pipeline.eval_batches(
    source, config.sampling.batch_size, num_images
  ):
    lab = model.split_lab(rgb)
    small = model.coarsest_luminance(lab.luminance)
    grey, chroma = (lab.luminance, small), np.array(lab.chroma)
    code = coder.encode(params, grey, chroma, mask=mask)
    decoded = coder.decode(params, grey, code, mask=mask)
    is_exact = (decoded == chroma).all((1, 2, 3))
    num_exact += int((is_exact & mask).sum())
    code_bytes += code.nbytes
    terminal.say(f'{indices[mask][-1] + 1} images coded and decoded')
  return {
    'num_coded_images': count,
    'code_bytes': code_bytes,
    'likelihood_bytes': promised,
    'num_decoded_exactly': num_exact,
  }


class Coder:
  """Codes and decodes chroma by one compiled program."""

  def __init__(self, model: pic.PIC):
    import constriction

    self._stream = constriction.stream
    self._model = model
    self._symbol_fn: SymbolFn | None = None
    self._walk = jax.jit(self._walk_fn)

  def encode(
    self,
    params: parameters.Params,
    grey: tuple[jax.Array, jax.Array],
    chroma: np.ndarray,
    *,
    mask: np.ndarray,
  ) -> np.ndarray:
    """Codes a batch.

    Args:
      params: of the model.
      grey: luminance [B, H, W, 1] and that of the coarsest map [B, h, w, 1].
      chroma: [B, h, w, 2] in network units, on the integer grid.
      mask: [B], False for images that are not coded.

    Returns:
      [words] uint32.
    """
    encoder = self._stream.queue.RangeEncoder()
    num_levels = self._model.levels
    coarsest = levels.pyramid(jnp.asarray(chroma), None, num_levels)[0].chroma
    coarsest = np.asarray(levels.from_network(coarsest)).astype(np.int32)
    finer = level_code.symbols(jnp.asarray(chroma), num_levels)

    def put(rows: np.ndarray, place: tuple[int, ...]) -> np.ndarray:
      if len(place) == 3:
        symbols = coarsest[:, place[0], place[1], place[2]]
      else:
        symbols = finer[place[0] - 1][..., place[1]]
      shares = rows[mask].reshape(-1, rows.shape[-1])
      for symbol, share in zip(symbols[mask].ravel(), shares, strict=True):
        model = self._stream.model.Categorical(share, perfect=False)
        encoder.encode(int(symbol), model)
      return symbols

    self._run(put, params, *grey)
    return encoder.get_compressed()

  def decode(
    self,
    params: parameters.Params,
    grey: tuple[jax.Array, jax.Array],
    code: np.ndarray,
    *,
    mask: np.ndarray,
  ) -> np.ndarray:
    """Decodes chroma [B, h, w, 2]; arguments as for `encode`."""
    decoder = self._stream.queue.RangeDecoder(code)

    def get(rows: np.ndarray, _: tuple[int, ...]) -> np.ndarray:
      symbols = np.zeros(rows.shape[:-1], np.int32)
      shares = rows[mask].reshape(-1, rows.shape[-1])
      found = [
        decoder.decode(self._stream.model.Categorical(share, perfect=False))
        for share in shares
      ]
      symbols[mask] = np.reshape(found, symbols[mask].shape)
      return symbols

    return self._run(get, params, *grey)

  def _run(self, symbol_fn: SymbolFn, *args: Any) -> np.ndarray:
    self._symbol_fn = symbol_fn
    return np.asarray(jax.block_until_ready(self._walk(*args)))

  def _ask(self, rows: jax.Array, *place: jax.Array) -> np.ndarray:
    return self._symbol_fn(np.asarray(rows), tuple(int(x) for x in place))

  def _asked(self, rows: jax.Array, *place: jax.Array | int) -> jax.Array:
    """Symbols [N, ...] for probabilities [N, ..., S]."""
    shape = jax.ShapeDtypeStruct(rows.shape[:-1], jnp.int32)
    # Ordered: the code is one stream.
    return io_callback(self._ask, shape, rows, *place, ordered=True)

  def _walk_fn(
    self,
    params: parameters.Params,
    luminance: jax.Array,
    luminance_small: jax.Array,
  ) -> jax.Array:
    """Visits the pixels in order and asks for their symbols: [B, h, w, 2]."""
    net = self._model.build_embedding(gives_features=True)
    embedded = net.apply({'params': params['embedding']}, luminance)

    def pixel_fn(
      theta: jax.Array, row: jax.Array, col: jax.Array
    ) -> tuple[jax.Array, None]:
      mixture = logistic_mixture.unpack(theta)
      luminance = luminance_small[:, row, col]
      log_weights, chroma = mixture.logits, [jnp.zeros_like(luminance)]
      for channel in range(2):
        means = logistic_mixture.conditional_means(
          mixture, luminance, chroma[-1]
        )[channel]
        log_scales = mixture.log_scales[:, channel]
        rows = probabilities(log_weights, means, log_scales)
        symbols = self._asked(rows, row, col, channel)
        values = symbols.astype(jnp.float32)[:, None] - HALF_RANGE
        chroma.append(values * (1.0 / LEVELS_PER_UNIT))
        # What a leaves of the components is their weight for b.
        log_weights += logistic_mixture.log_mass(values, means, log_scales)
      return jnp.concatenate(chroma[1:], -1), None

    canvas, _ = incremental_decoder.decode(
      self._model.build_decoder(),
      params['decoder'],
      embedded[0],
      pixel_fn=pixel_fn,
    )
    return level_code.walk(
      self._model,
      params,
      luminance,
      embedded=embedded,
      canvas=canvas,
      ask_fn=self._asked,
    )


def to_text(report: dict[str, Any]) -> str:
  """Formats the report as a line."""
  return (
    f'{report["num_coded_images"]} images coded in {report["code_bytes"]:,} '
    f'bytes, {report["likelihood_bytes"]:,.1f} by the likelihood; '
    f'{report["num_decoded_exactly"]} decoded bit by bit'
  )
