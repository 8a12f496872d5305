"""Fingerprints of data sets, with which a resumed run checks its images."""

import hashlib
import json
from typing import Any

import numpy as np

from pic_jax.runtime import devices, errors


def of_listing(listings: list[list[str]], num_images: int) -> dict[str, Any]:
  """Computes the fingerprint of a data set from the listings of its parts.

  Args:
    listings: for each part of the data set, the texts that identify its images,
      such as names and sizes of files.
    num_images: number of images in all parts.

  Returns:
    `sha256` and `num_images`, to be stored as JSON.
  """
  text = json.dumps(listings)
  digest = hashlib.sha256(text.encode(errors='surrogateescape'))
  return {'sha256': digest.hexdigest(), 'num_images': num_images}


def check_same(
  saved: dict[str, Any] | None, found: dict[str, Any], workdir: str
) -> str:
  """Checks that a resumed run finds the images that it was trained on.

  Args:
    saved: fingerprint in the checkpoint; None if the checkpoint has none,
      because an earlier version of pic_jax wrote it.
    found: fingerprint of the images that the resumed run found.
    workdir: path of the workdir, for the message.

  Returns:
    A note for the user; '' if there is nothing to say.

  Raises:
    UserError: if the images have changed.
  """
  if saved is None:
    return (
      f'{workdir} does not say which images it was trained on, because an '
      'earlier version of pic_jax wrote it. Resuming with the '
      f'{found["num_images"]:,} images found now.'
    )
  if saved['sha256'] == found['sha256']:
    return ''
  num_then, num_now = saved['num_images'], found['num_images']
  difference = f'{num_then:,} images then, {num_now:,} now'
  if num_then == num_now:
    difference = (
      f'{num_now:,} images then and now, but their names or sizes differ'
    )
  raise errors.UserError(
    f'{workdir} was trained on other images ({difference}). Restore the '
    'original images, or start another --workdir from these weights with '
    f'`--config.training.init_from={workdir}`.'
  )


def check_hosts(found: dict[str, Any]) -> None:
  """Checks that this process found the same images as process 0.

  Args:
    found: fingerprint of the images that this process found.

  Raises:
    UserError: if it found other images.
  """
  digest = np.frombuffer(bytes.fromhex(found['sha256']), np.uint8)
  if (np.asarray(devices.broadcast(digest)) != digest).any():
    raise errors.UserError(
      'This process found other training images than process 0 '
      f'({found["num_images"]:,} here). Give all hosts the same files in '
      '`data.data_dir`.'
    )
