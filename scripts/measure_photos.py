"""Measures colourings of photographs, by models of any size side by side.

  python scripts/measure_photos.py photos128_val.npy photos other.safetensors \\
    'other.safetensors;temperature=0.8;guidance=0.1'

Each photograph, [N, 128, 128, 3] uint8 or larger squares, is brought to the
pixels that a model sees; samples and originals are compared as means over
16 x 16 cells, whatever the model's own grid. The first model is the baseline
of the paired differences, and its score on clean photographs that of films.
Settings are those of exact draws where none are given. With --reference,
feature distances of what `pic-jax` would make of them, in place of scores.
"""

import argparse
import json
import pathlib
import sys
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

ROOT = pathlib.Path(__file__).parents[1]
# Last, so that PYTHONPATH may name another version of the package.
sys.path.append(str(ROOT))

from pic_jax.evaluation import feature_distance, metrics  # noqa: E402
from pic_jax.images import color, film, resizing  # noqa: E402
from pic_jax.model import logistic_mixture  # noqa: E402
from pic_jax.photos import colorize  # noqa: E402
from pic_jax.runtime import devices  # noqa: E402
from pic_jax.sampling import conditions, sample  # noqa: E402
from pic_jax.saved import run_config, trained_model  # noqa: E402

NUM_CELLS = 16
BATCH_SIZE = 10
SETTINGS = {
  'temperature': 1.0,
  'fine_temperature': None,
  'guidance': 0.0,
  'prior_exponent': 0.0,
  'saturation': 1.0,
}


class Row(NamedTuple):
  """One model with its settings, and what it is shown.

  Attributes:
    source: see `trained_model.load_trained`.
    settings: see `SETTINGS`.
    film: key of `film.FIXED`.
  """

  source: str
  settings: dict[str, float | None]
  film: str


def parse(text: str, film_name: str) -> Row:
  """Parses 'MODEL;NAME=NUMBER;...'."""
  source, *assignments = text.split(';')
  pairs = (assignment.split('=') for assignment in assignments)
  given = {name: float(value) for name, value in pairs}
  unknown = set(given) - set(SETTINGS)
  if unknown:
    raise SystemExit(f'Settings are {", ".join(SETTINGS)}, got {unknown}.')
  return Row(source, SETTINGS | given, film_name)


def cells(x: jax.Array) -> jax.Array:
  """Means of [..., h, w, C] over `NUM_CELLS` squared cells."""
  *lead, side, _, channels = x.shape
  maps = x.reshape(-1, side, side, channels)
  maps = color.subsample(maps, side // NUM_CELLS, 'area')
  return maps.reshape(*lead, *maps.shape[1:])


def guidance_of(row: Row) -> conditions.Guidance | None:
  """The guidance of a row, with the prior of its model if it has one."""
  strength = row.settings['guidance']
  if not strength:
    return None
  exponent = row.settings['prior_exponent']
  if not exponent:
    return conditions.Guidance(strength)
  prior = trained_model.load_prior(row.source)
  return conditions.Guidance(
    strength, prior=jnp.asarray(prior), prior_exponent=exponent
  )


def measure(row: Row, photographs: np.ndarray, samples: int) -> dict:
  """Scores [N] of a row, by name."""
  params, config, _ = trained_model.load_trained(row.source)
  model = run_config.build_model(config)
  size = config.data.image_size
  spec = conditions.SamplingSpec(
    samples=samples,
    temperature=row.settings['temperature'],
    fine_temperature=row.settings['fine_temperature'],
    guidance=guidance_of(row),
  )

  @jax.jit
  def scores(
    params: dict, rgb: jax.Array, target: jax.Array, *, keys: jax.Array
  ) -> dict[str, jax.Array]:
    lab = model.split_lab(rgb)
    if row.film != 'clean':
      looks = film.fixed_film(row.film, rgb, keys[0])
      lab = model.with_luminance(lab, looks)
    drawn = sample.draw(model, params, lab.luminance, keys=keys, spec=spec)
    chroma = cells(color.chroma_from_network(drawn.chroma))
    chroma = chroma * row.settings['saturation']
    errors = metrics.ab_rmse(chroma, target[:, None])
    found = model.apply(
      {'params': params}, lab.luminance, lab.chroma, method='score'
    )
    coarse = model.coarsest(lab)
    embedding = logistic_mixture.log_prob(
      found.embedding[..., : model.num_outputs],
      coarse.luminance_small,
      coarse.chroma,
    )
    return {
      'energy': metrics.energy_score_multiscale(chroma, target),
      'best': errors.min(1),
      'one': errors[:, 0],
      'mean': metrics.ab_rmse(chroma.mean(1), target),
      'chroma': jnp.linalg.norm(chroma, axis=-1).mean((1, 2, 3)),
      'original': jnp.linalg.norm(target, axis=-1).mean((1, 2)),
      'bits': logistic_mixture.bits_per_dim(found.on_finest_grid()),
      'bits_16': logistic_mixture.bits_per_dim(found.level_log_probs[0]),
      'embedding': logistic_mixture.bits_per_dim(embedding),
    }

  rows = []
  for first in range(0, len(photographs), BATCH_SIZE):
    batch = photographs[first : first + BATCH_SIZE]
    target = cells(color.rgb_to_lab(batch)[..., 1:])
    seen = np.stack([resizing.fit(x, size, 'crop') for x in batch])
    keys = sample.image_keys(0, jnp.arange(first, first + len(batch)))
    rows.append(jax.device_get(scores(params, seen, target, keys=keys)))
  return {k: np.concatenate([x[k] for x in rows]) for k in rows[0]}


def distances(
  row: Row, photographs: np.ndarray, reference: np.ndarray
) -> dict[str, dict[str, float]]:
  """Feature distances from photographs [M, H, W, 3], as `pic-jax` colours.

  Returns:
    By set ('samples': one of each; 'floor': the true chroma on the grid of the
    model; 'originals'), the distance by part of the backbone.
  """
  colorizer = colorize.Colorizer.load(row.source)
  shown = {'samples': [], 'floor': [], 'originals': list(photographs)}
  for seed, rgb in enumerate(photographs):
    network_input = colorizer.to_network_size(rgb)
    shown['samples'] += list(colorizer(rgb, 1, seed, **row.settings))
    if network_input.chroma is not None:
      rows, columns = network_input.map_shape
      true = network_input.chroma[:rows, :columns]
      shown['floor'].append(colorizer.render(network_input, true)[0])
  params = devices.fetch(colorizer.params)
  real = feature_distance.features_of_all(params, reference)
  results = {}
  for name, pictures in shown.items():
    found = feature_distance.features_of_all(params, pictures)
    results[name] = {
      part: feature_distance.distance(found[part], real[part])
      for part in feature_distance.PARTS
    }
  return results


def _with_error(values: np.ndarray) -> str:
  return f'{values.mean():.3f} +- {values.std() / len(values) ** 0.5:.3f}'


def main() -> None:
  """Prints a line for each model and film, and writes all scores."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('photographs', help='.npy')
  parser.add_argument('models', nargs='+', help='MODEL;NAME=NUMBER;...')
  parser.add_argument('--num', type=int, help='photographs; default: all')
  parser.add_argument('--samples', type=int, default=8)
  parser.add_argument('--films', default='clean', help='names, or all')
  parser.add_argument('--reference', help='.npy of other photographs')
  parser.add_argument('--out', type=pathlib.Path, help='.json of all scores')
  values = parser.parse_args()
  films = list(film.FIXED) if values.films == 'all' else values.films.split(',')
  photographs = np.load(values.photographs, mmap_mode='r')
  # Sources stand one after the other: take some of each.
  chosen = np.linspace(0, len(photographs) - 1, values.num or len(photographs))
  photographs = np.stack([photographs[round(i)] for i in chosen])
  results, baseline = {}, None
  if values.reference:
    reference = np.load(values.reference, mmap_mode='r')
    order = np.random.default_rng(0).permutation(len(reference))
    reference = reference[np.sort(order[: feature_distance.NUM_REFERENCE])]
    for text in values.models:
      results[text] = distances(parse(text, 'clean'), photographs, reference)
      print(text, json.dumps(results[text]), flush=True)
    films = []
  for text in values.models:
    for film_name in films:
      row = parse(text, film_name)
      found = measure(row, photographs, values.samples)
      results[f'{text} {film_name}'] = {k: v.tolist() for k, v in found.items()}
      baseline = found if baseline is None else baseline
      lines = [f'{name} {_with_error(x)}' for name, x in found.items()]
      for name in ('energy', 'best', 'bits_16', 'embedding'):
        change = found[name] - baseline[name]
        lines.append(f'{name} minus baseline {_with_error(change)}')
      share = found['energy'].mean() / baseline['energy'].mean() - 1.0
      print(f'{text} {film_name}: energy {100 * share:+.1f} %', flush=True)
      print('  ' + '\n  '.join(lines), flush=True)
  if values.out:
    values.out.write_text(json.dumps(results))


if __name__ == '__main__':
  main()
