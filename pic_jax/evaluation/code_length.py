"""Coding of chroma, to check that codes are as long as the likelihood predicts.

A range coder (Rissanen & Langdon 1981) codes the chroma of images with the
model's exact conditional probabilities, and decodes it again. This proves that
bits/dim are the length of a real code. It is not a file format, because coding
and decoding must run the same compiled program at the same batch size on the
same machine: the rounding errors of a convolution depend on all of these.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jax.experimental import io_callback

from pic_jax.data import image_source, input_pipeline
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

# Number of grid values of a channel.
NUM_VALUES = 256
HALF_RANGE = logistic_mixture.HALF_RANGE
STEPS_PER_UNIT = logistic_mixture.STEPS_PER_UNIT
# Function that codes or decodes symbols, which are integers in 0..S - 1. It
# takes the probabilities [N, ..., S] of all values of these symbols, and the
# symbols' position. It returns the symbols [N, ...]. In the coarsest map, the
# position is (row, col, channel). In a finer level, one call covers all cells,
# and the position is (level, index of the symbol in a cell).
SymbolFn = Callable[[np.ndarray, tuple[int, ...]], np.ndarray]


def probabilities(
  log_weights: jax.Array, means: jax.Array, log_scales: jax.Array
) -> jax.Array:
  """Computes the probability of every grid value of a channel.

  Args:
    log_weights: [N, K] unnormalised log-weights of the components.
    means, log_scales: [N, K] in network units.

  Returns:
    Probabilities [N, `NUM_VALUES`], which sum to 1.
  """
  values = (jnp.arange(NUM_VALUES) - HALF_RANGE)[None, :, None]
  log_mass = logistic_mixture.log_mass(
    values, means[:, None], log_scales[:, None]
  )
  log_weights = jax.nn.log_softmax(log_weights)[:, None]
  return jnp.exp(jax.nn.logsumexp(log_weights + log_mass, -1))


def check(config: ml_collections.ConfigDict) -> None:
  """Checks that chroma can be coded.

  Raises:
    UserError: if no range coder is installed, or the model has no decoder.
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
  source: image_source.ImageSource,
  *,
  num_images: int,
) -> dict[str, Any]:
  """Codes and decodes the chroma of the first images of a source.

  Args:
    config: config with the model, data, evaluation and sampling sections.
    params: averaged parameters, replicated over the local devices.
    source: images; see `input_pipeline.open_source`.
    num_images: number of images to code; -1 for all.

  Returns:
    Dict with the keys `num_coded_images`, `code_bytes` (the total length of the
    codes), `likelihood_bytes` (the total length that the exact rule predicts)
    and `num_decoded_exactly`.

  Raises:
    UserError: see `check`.
  """
  check(config)
  model = run_config.build_model(config).clone(remat=False)
  coder = Coder(model)
  report = likelihood.evaluate(config, params, source, num_images=num_images)
  count = report['num_images']
  predicted_bytes = report['bits_per_image'] * count / 8
  params = jax.device_put(devices.fetch(params))
  code_bytes = num_exact = 0
  for rgb, indices, mask in input_pipeline.eval_batches(
    source, config.sampling.batch_size, num_images
  ):
    lab = model.split_lab(rgb)
    chroma = np.array(lab.chroma)
    luminances = lab.luminance, model.coarsest_luminance(lab.luminance)
    code = coder.encode(params, luminances, chroma, mask=mask)
    decoded = coder.decode(params, luminances, code, mask=mask)
    is_exact = (decoded == chroma).all((1, 2, 3))
    num_exact += int((is_exact & mask).sum())
    code_bytes += code.nbytes
    terminal.say(f'{indices.max() + 1} images coded and decoded')
  return {
    'num_coded_images': count,
    'code_bytes': code_bytes,
    'likelihood_bytes': predicted_bytes,
    'num_decoded_exactly': num_exact,
  }


class Coder:
  """Codes and decodes chroma with the same compiled program.

  The program visits all symbols in order. It passes the probabilities of each
  symbol to the host, which codes or decodes the symbol and returns it.
  """

  def __init__(self, model: pic.PIC):
    import constriction

    self._stream = constriction.stream
    self._model = model
    self._symbol_fn: SymbolFn  # set by `_run`
    self._walk = jax.jit(self._walk_fn)

  def encode(
    self,
    params: parameters.Params,
    luminances: tuple[jax.Array, jax.Array],
    chroma: np.ndarray,
    *,
    mask: np.ndarray,
  ) -> np.ndarray:
    """Codes the chroma of a batch.

    Args:
      params: parameters of the model.
      luminances: luminance [B, H, W, 1] of the images, and luminance
        [B, h_0, w_0, 1] on the coarsest grid, both in network units.
      chroma: [B, h, w, 2] in network units, on the integer grid.
      mask: [B] bool, True for the images to code.

    Returns:
      The code, [words] uint32.
    """
    encoder = self._stream.queue.RangeEncoder()
    num_levels = self._model.levels
    coarsest = levels.pyramid(jnp.asarray(chroma), None, num_levels)[0].chroma
    coarsest = np.asarray(levels.from_network(coarsest)).astype(np.int32)
    level_symbols = level_code.symbols(jnp.asarray(chroma), num_levels)

    def encode_symbols(
      probs: np.ndarray, position: tuple[int, ...]
    ) -> np.ndarray:
      if len(position) == 3:
        row, col, channel = position
        symbols = coarsest[:, row, col, channel]
      else:
        level, index = position
        symbols = level_symbols[level - 1][..., index]
      distributions = probs[mask].reshape(-1, probs.shape[-1])
      for symbol, distribution in zip(
        symbols[mask].ravel(), distributions, strict=True
      ):
        encoder.encode(int(symbol), self._categorical(distribution))
      return symbols

    self._run(encode_symbols, params, *luminances)
    return encoder.get_compressed()

  def decode(
    self,
    params: parameters.Params,
    luminances: tuple[jax.Array, jax.Array],
    code: np.ndarray,
    *,
    mask: np.ndarray,
  ) -> np.ndarray:
    """Decodes the chroma of a batch.

    Args:
      params, luminances, mask: the same as for `encode`.
      code: [words] uint32.

    Returns:
      Chroma [B, h, w, 2] in network units; meaningless where `mask` is False.
    """
    decoder = self._stream.queue.RangeDecoder(code)

    def decode_symbols(probs: np.ndarray, _: tuple[int, ...]) -> np.ndarray:
      symbols = np.zeros(probs.shape[:-1], np.int32)
      distributions = probs[mask].reshape(-1, probs.shape[-1])
      decoded = [decoder.decode(self._categorical(x)) for x in distributions]
      symbols[mask] = np.reshape(decoded, symbols[mask].shape)
      return symbols

    return self._run(decode_symbols, params, *luminances)

  def _categorical(self, distribution: np.ndarray) -> Any:
    """Builds the range coder's model of a symbol from probabilities [S]."""
    # The best rounding to fixed point (`perfect`) would be slow to find, and
    # would hardly shorten the code.
    return self._stream.model.Categorical(distribution, perfect=False)

  def _run(self, symbol_fn: SymbolFn, *args: Any) -> np.ndarray:
    """Runs the compiled program with `symbol_fn` on the host."""
    self._symbol_fn = symbol_fn
    return np.asarray(jax.block_until_ready(self._walk(*args)))

  def _ask_on_host(self, probs: jax.Array, *position: jax.Array) -> np.ndarray:
    # `_symbol_fn` is looked up in each call, so it can change without a new
    # compilation.
    return self._symbol_fn(np.asarray(probs), tuple(int(x) for x in position))

  def _ask(self, probs: jax.Array, *position: jax.Array | int) -> jax.Array:
    """Asks the host for symbols; the arguments are those of a `SymbolFn`."""
    shape = jax.ShapeDtypeStruct(probs.shape[:-1], jnp.int32)
    # `ordered`, because all symbols are in one stream.
    return io_callback(self._ask_on_host, shape, probs, *position, ordered=True)

  def _walk_fn(
    self,
    params: parameters.Params,
    luminance: jax.Array,
    luminance_small: jax.Array,
  ) -> jax.Array:
    """Visits all symbols in order and asks the host for them.

    Args:
      params: parameters of the model.
      luminance: [B, H, W, 1] in network units.
      luminance_small: [B, h_0, w_0, 1], luminance on the coarsest grid.

    Returns:
      Chroma [B, h, w, 2] that the symbols stand for, in network units.
    """
    net = self._model.build_embedding(returns_backbone_maps=True)
    embedded = net.apply({'params': params['embedding']}, luminance)

    def pixel_fn(
      theta: jax.Array, row: jax.Array, col: jax.Array
    ) -> tuple[jax.Array, None]:
      mixture = logistic_mixture.unpack(theta)
      pixel_luminance = luminance_small[:, row, col]
      log_weights = mixture.logits
      # The zeros are a placeholder for the a that `conditional_means` takes.
      # The means of a do not depend on it, and it is not returned.
      chroma = [jnp.zeros_like(pixel_luminance)]
      for channel in range(2):
        means = logistic_mixture.conditional_means(
          mixture, pixel_luminance, chroma[-1]
        )[channel]
        log_scales = mixture.log_scales[:, channel]
        probs = probabilities(log_weights, means, log_scales)
        symbols = self._ask(probs, row, col, channel)
        values = symbols.astype(jnp.float32)[:, None] - HALF_RANGE
        chroma.append(values * (1.0 / STEPS_PER_UNIT))
        # The weights for channel b are the posterior weights, given the value
        # of channel a.
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
      ask_fn=self._ask,
    )


def to_text(report: dict[str, Any]) -> str:
  """Formats the report as one line."""
  return (
    f'{report["num_coded_images"]} images coded in {report["code_bytes"]:,} '
    f'bytes, {report["likelihood_bytes"]:,.1f} predicted by the likelihood; '
    f'{report["num_decoded_exactly"]} decoded exactly'
  )
