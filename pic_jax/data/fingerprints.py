"""Fingerprints of data sets: a resumed run must read the same images."""

import hashlib
import json
from typing import Any

import numpy as np

from pic_jax.runtime import devices, errors


def of_listing(listing: list[list[str]], num_images: int) -> dict[str, Any]:
  """Fingerprint of the parts of a data set.

  Args:
    listing: for each part, names and sizes in the order of its images.
    num_images: of all parts.

  Returns:
    `sha256` and `num_images`, for JSON.
  """
  digest = hashlib.sha256(json.dumps(listing).encode(errors='surrogateescape'))
  return {'sha256': digest.hexdigest(), 'num_images': num_images}


def check_same(
  saved: dict[str, Any] | None, found: dict[str, Any], workdir: str
) -> str:
  """Compares the images of a run that is resumed with those found now.

  Args:
    saved: fingerprint in the checkpoint; None if an earlier version wrote it.
    found: fingerprint of the images found now.
    workdir: named in the message.

  Returns:
    A line for the user; '' if nothing is wrong.

  Raises:
    UserError: they are not the same.
  """
  if saved is None:
    return (
      f'{workdir} does not say which images it was trained on (an earlier '
      f'version wrote it): resuming on the {found["num_images"]:,} found now.'
    )
  if saved['sha256'] == found['sha256']:
    return ''
  counts = [one['num_images'] for one in (saved, found)]
  what = f'{counts[0]:,} images then, {counts[1]:,} now'
  if counts[0] == counts[1]:
    what = f'{counts[0]:,} images, but names or sizes differ'
  raise errors.UserError(
    f'{workdir} was trained on other images ({what}): restore them, or choose '
    'another --workdir, with `--config.training.init_from='
    f'{workdir}` to start from these weights.'
  )


def check_hosts(found: dict[str, Any]) -> None:
  """Checks that every process has the images of process 0.

  Raises:
    UserError: this process has other images.
  """
  own = np.frombuffer(bytes.fromhex(found['sha256']), np.uint8)
  if (np.asarray(devices.broadcast(own)) != own).any():
    raise errors.UserError(
      'This process found other training images than process 0 '
      f'({found["num_images"]:,} here): all hosts need the same '
      '`data.data_dir`.'
    )
