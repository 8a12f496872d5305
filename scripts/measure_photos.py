"""Measures how well models of different sizes colour the same photographs.

  python scripts/measure_photos.py photos128_val.npy photos other.safetensors \\
    'other.safetensors;temperature=0.8;guidance=0.1'

The photographs are [N, 128, 128, 3] uint8 or larger squares. They are resized
for each model. Samples and originals are averaged to a grid of 16 x 16 cells
before they are compared, whatever the model's own grid. Settings that are not
given are those of exact samples.

For each model and each film of --films, the script prints scores, and for some
of them the difference from the baseline, which is the first model with the
first film. Differences are paired by photograph. With --reference, the script
prints only feature distances of the pictures that `pic-jax` makes.

The scores are, with errors and lengths in Lab units:

  energy           energy score at all scales, see docs/metrics.md
  best             ab error of the best sample
  first_sample     ab error of the first sample
  mean             ab error of the mean of all samples
  sample_chroma    mean length of (a, b) in samples
  original_chroma  mean length of (a, b) in originals
  edges            share of look-alike neighbours whose colours differ in
                   samples, see `edges`
  bits             bits/dim on the model's finest grid
  bits_16          bits/dim on the model's coarsest grid
  embedding        bits/dim of the embedding alone on the coarsest grid
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
# Appended, so PYTHONPATH may name a folder with another version of the package.
sys.path.append(str(ROOT))

from pic_jax.evaluation import feature_distance, metrics  # noqa: E402
from pic_jax.images import color, film, resizing  # noqa: E402
from pic_jax.model import logistic_mixture  # noqa: E402
from pic_jax.photos import colorize  # noqa: E402
from pic_jax.runtime import devices  # noqa: E402
from pic_jax.sampling import conditions, sample  # noqa: E402
from pic_jax.saved import run_config, trained_model  # noqa: E402

NUM_CELLS = 16  # number of cells on each side of a photograph
BATCH_SIZE = 10
# Settings of exact samples.
SETTINGS = {
  'temperature': 1.0,
  'fine_temperature': None,
  'guidance': 0.0,
  'prior_exponent': 0.0,
  'saturation': 1.0,
}


class Case(NamedTuple):
  """A model, its settings, and the film through which it sees photographs.

  Attributes:
    source: name or path of the model; see `trained_model.load_trained`.
    settings: values of all `SETTINGS`.
    film: key of `film.FIXED`; 'clean' means no film.
  """

  source: str
  settings: dict[str, float | None]
  film: str


def parse(text: str, film_name: str) -> Case:
  """Parses a model with settings, 'MODEL;NAME=NUMBER;...'."""
  source, *assignments = text.split(';')
  pairs = (assignment.split('=') for assignment in assignments)
  given = {name: float(value) for name, value in pairs}
  unknown = set(given) - set(SETTINGS)
  if unknown:
    raise SystemExit(f'Settings are {", ".join(SETTINGS)}, got {unknown}.')
  return Case(source, SETTINGS | given, film_name)


def cells(x: jax.Array) -> jax.Array:
  """Averages maps [..., h, h, C] over `NUM_CELLS` x `NUM_CELLS` cells."""
  *lead, side, _, channels = x.shape
  maps = x.reshape(-1, side, side, channels)
  maps = color.subsample(maps, side // NUM_CELLS, 'area')
  return maps.reshape(*lead, *maps.shape[1:])


def edges(
  chroma: jax.Array, target: jax.Array, luminance: jax.Array
) -> jax.Array:
  """Computes how often look-alike neighbours differ in colour in samples.

  Two neighbouring cells look alike if their L and their colours in the original
  both differ by less than 4. In a sample, their colours count as different if
  they are more than 10 apart. So this is a measure of wrong patches, which the
  energy score and ab errors hardly show.

  Args:
    chroma: [B, S, h, w, 2] samples, Lab units.
    target: [B, h, w, 2] originals, Lab units.
    luminance: [B, h, w, 1] L, 0..100.

  Returns:
    [B] share of the look-alike pairs whose colours differ, mean over samples.
  """
  num_different, num_alike = 0.0, 0.0
  for axis in (-3, -2):  # neighbours below, then neighbours to the right

    def change(x: jax.Array, axis: int = axis) -> jax.Array:
      return jnp.linalg.norm(jnp.diff(x, axis=axis), axis=-1)

    is_alike = (change(luminance) < 4) & (change(target) < 4)
    is_different = is_alike[:, None] & (change(chroma) > 10)
    num_different += is_different.mean(1).sum((1, 2))
    num_alike += is_alike.sum((1, 2))
  return num_different / jnp.maximum(num_alike, 1)


def guidance_of(case: Case) -> conditions.Guidance | None:
  """Builds the guidance of a case, with the prior of its model if needed."""
  strength = case.settings['guidance']
  if not strength:
    return None
  exponent = case.settings['prior_exponent']
  if not exponent:
    return conditions.Guidance(strength)
  prior = trained_model.load_prior(case.source)
  return conditions.Guidance(
    strength, prior=jnp.asarray(prior), prior_exponent=exponent
  )


def measure(case: Case, photographs: np.ndarray, num_samples: int) -> dict:
  """Computes the scores of a case.

  Args:
    case: model, settings and film.
    photographs: [N, H, W, 3] uint8.
    num_samples: number of samples of each photograph.

  Returns:
    Scores [N], keyed by name; see the module's docstring.
  """
  params, config, _ = trained_model.load_trained(case.source)
  model = run_config.build_model(config)
  # A model with finer levels rounds its coarsest map several times, which costs
  # 0.03 bits/dim. For 'bits_16' and 'embedding', all maps are rounded once.
  coarse_model = model.clone(
    levels=0, chroma_factor=model.chroma_factor * 2**model.levels
  )
  size = config.data.image_size
  spec = conditions.SamplingSpec(
    samples=num_samples,
    temperature=case.settings['temperature'],
    fine_temperature=case.settings['fine_temperature'],
    guidance=guidance_of(case),
  )

  @jax.jit
  def scores(
    params: dict, rgb: jax.Array, lab_cells: jax.Array, *, keys: jax.Array
  ) -> dict[str, jax.Array]:
    luminance, target = lab_cells[..., :1], lab_cells[..., 1:]
    lab, coarse_lab = model.split_lab(rgb), coarse_model.split_lab(rgb)
    if case.film != 'clean':
      filmed = film.fixed_film(case.film, rgb, keys[0])
      lab = model.with_luminance(lab, filmed)
      coarse_lab = coarse_model.with_luminance(coarse_lab, filmed)
    drawn = sample.draw(model, params, lab.luminance, keys=keys, spec=spec)
    chroma = cells(color.chroma_from_network(drawn.chroma))
    chroma = chroma * case.settings['saturation']
    errors = metrics.ab_rmse(chroma, target[:, None])
    likelihood = model.apply(
      {'params': params}, lab.luminance, lab.chroma, method='score'
    )
    coarse_likelihood = coarse_model.apply(
      {'params': params},
      coarse_lab.luminance,
      coarse_lab.chroma,
      method='score',
    )
    embedding_log_prob = logistic_mixture.log_prob(
      coarse_likelihood.embedding[..., : model.num_outputs],
      coarse_lab.luminance_small,
      coarse_lab.chroma,
    )
    return {
      'energy': metrics.energy_score_multiscale(chroma, target),
      'best': errors.min(1),
      'first_sample': errors[:, 0],
      'mean': metrics.ab_rmse(chroma.mean(1), target),
      'sample_chroma': jnp.linalg.norm(chroma, axis=-1).mean((1, 2, 3)),
      'original_chroma': jnp.linalg.norm(target, axis=-1).mean((1, 2)),
      'edges': edges(chroma, target, luminance),
      'bits': logistic_mixture.bits_per_dim(likelihood.on_finest_grid()),
      'bits_16': logistic_mixture.bits_per_dim(
        coarse_likelihood.on_finest_grid()
      ),
      'embedding': logistic_mixture.bits_per_dim(embedding_log_prob),
    }

  batch_scores = []
  for first in range(0, len(photographs), BATCH_SIZE):
    batch = photographs[first : first + BATCH_SIZE]
    lab_cells = cells(color.rgb_to_lab(batch))
    resized = np.stack([resizing.fit(x, size, 'crop') for x in batch])
    keys = sample.image_keys(0, jnp.arange(first, first + len(batch)))
    batch_scores.append(
      jax.device_get(scores(params, resized, lab_cells, keys=keys))
    )
  return {
    name: np.concatenate([x[name] for x in batch_scores])
    for name in batch_scores[0]
  }


def distances(
  case: Case, photographs: np.ndarray, reference: np.ndarray
) -> dict[str, dict[str, float]]:
  """Computes feature distances of photographs that `pic-jax` colours.

  Args:
    case: model and settings; the film is not used.
    photographs: [N, H, W, 3] uint8.
    reference: [M, H, W, 3] uint8, other photographs.

  Returns:
    The distances, keyed by set and then by part of the backbone. The sets are
    'samples' (one of each photograph), 'floor' (the true chroma on the model's
    grid) and 'originals'.
  """
  colorizer = colorize.Colorizer.load(case.source)
  sets = {'samples': [], 'floor': [], 'originals': list(photographs)}
  for seed, rgb in enumerate(photographs):
    network_input = colorizer.to_network_size(rgb)
    sets['samples'] += list(colorizer(rgb, 1, seed, **case.settings))
    if network_input.chroma is not None:
      rows, columns = network_input.map_shape
      true_chroma = network_input.chroma[:rows, :columns]
      sets['floor'].append(colorizer.render(network_input, true_chroma)[0])
  params = devices.fetch(colorizer.params)
  reference_features = feature_distance.features_of_all(params, reference)
  results = {}
  for name, pictures in sets.items():
    features = feature_distance.features_of_all(params, pictures)
    results[name] = {
      part: feature_distance.distance(features[part], reference_features[part])
      for part in feature_distance.PARTS
    }
  return results


def _with_error(values: np.ndarray) -> str:
  """Formats the mean of scores [N] with its standard error."""
  return f'{values.mean():.3f} +- {values.std() / len(values) ** 0.5:.3f}'


def main() -> None:
  """Prints a line for each model and film, and writes all scores."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('photographs', help='.npy file')
  parser.add_argument(
    'models', nargs='+', help='models with settings, MODEL;NAME=NUMBER;...'
  )
  parser.add_argument(
    '--num', type=int, help='number of photographs; default: all'
  )
  parser.add_argument(
    '--samples', type=int, default=8, help='samples of each photograph'
  )
  parser.add_argument('--films', default='clean', help='names of films, or all')
  parser.add_argument(
    '--reference', help='.npy file of other photographs, for feature distances'
  )
  parser.add_argument('--out', type=pathlib.Path, help='.json file to write')
  values = parser.parse_args()
  films = list(film.FIXED) if values.films == 'all' else values.films.split(',')
  photographs = np.load(values.photographs, mmap_mode='r')
  # The file stores several collections, one after the other. Evenly spaced
  # indices pick photographs from each.
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
    films = []  # no scores
  for text in values.models:
    for film_name in films:
      scores = measure(parse(text, film_name), photographs, values.samples)
      results[f'{text} {film_name}'] = {
        name: x.tolist() for name, x in scores.items()
      }
      baseline = scores if baseline is None else baseline
      lines = [f'{name} {_with_error(x)}' for name, x in scores.items()]
      for name in ('energy', 'best', 'bits_16', 'embedding'):
        change = scores[name] - baseline[name]
        lines.append(f'{name} minus baseline {_with_error(change)}')
      ratio = scores['energy'].mean() / baseline['energy'].mean()
      print(
        f'{text} {film_name}: energy {100 * (ratio - 1.0):+.1f} % relative to '
        'the baseline'
      )
      print('  ' + '\n  '.join(lines), flush=True)
  if values.out:
    values.out.write_text(json.dumps(results))


if __name__ == '__main__':
  main()
