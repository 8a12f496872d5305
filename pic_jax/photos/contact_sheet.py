"""A page with all colourisations of a folder: one HTML file and thumbnails."""

import hashlib
import html
import os
import pathlib
import urllib.parse
from typing import Any

import numpy as np
from PIL import Image

THUMBNAILS = 'thumbnails'
THUMBNAIL_SIDE = 512  # pixels, of the longer side

_HEAD = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Colourisations</title>
<style>
body { font: 16px/1.4 system-ui, sans-serif; margin: 1rem; color: #222;
  background: #fff; }
h1 { font-size: 1.3rem; }
h2 { font-size: 1rem; margin: 1.5rem 0 .5rem; overflow-wrap: anywhere; }
.row { display: grid; gap: .5rem;
  grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); }
figure { margin: 0; max-width: 24rem; }
img { display: block; width: 100%; height: auto; background: #ddd; }
figcaption { font-size: .8rem; color: #555; }
.failed { color: #a00; }
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #111; }
  figcaption { color: #aaa; }
  .failed { color: #f88; }
}
</style>
"""


def _text(text: Any) -> str:
  """Escaped; file names may hold bytes that are not text."""
  return html.escape(os.fsencode(str(text)).decode('utf-8', 'replace'))


def _link(path: str | os.PathLike) -> str:
  return urllib.parse.quote(os.fsencode(os.fspath(path)))


def save_thumbnail(folder: pathlib.Path, name: str, rgb: np.ndarray) -> str:
  """Writes a small copy of [H, W, 3] uint8 or uint16.

  Args:
    folder: of the page.
    name: of the full picture; names the thumbnail.
    rgb: the picture.

  Returns:
    The thumbnail's path, relative to the page.
  """
  if rgb.dtype == np.uint16:
    rgb = (rgb // 257).astype(np.uint8)
  height, width = rgb.shape[:2]
  ratio = min(1.0, THUMBNAIL_SIDE / max(height, width))
  shape = (max(1, round(width * ratio)), max(1, round(height * ratio)))
  picture = Image.fromarray(rgb).resize(shape, Image.Resampling.BOX)
  digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
  path = pathlib.Path(THUMBNAILS) / f'{digest}.jpg'
  (folder / THUMBNAILS).mkdir(exist_ok=True)
  temporary = folder / THUMBNAILS / f'.{digest}.{os.getpid()}'
  picture.save(temporary, 'JPEG', quality=90)
  temporary.replace(folder / path)
  return str(path)


def _figure(picture: dict[str, Any]) -> str:
  size = f'width="{picture["width"]}" height="{picture["height"]}"'
  image = (
    f'<img loading="lazy" {size} src="{_link(picture["thumbnail"])}" '
    f'alt="{_text(picture["caption"])}">'
  )
  if picture.get('file'):
    image = f'<a href="{_link(picture["file"])}">{image}</a>'
  return (
    f'<figure>{image}<figcaption>{_text(picture["caption"])}</figcaption>'
    '</figure>'
  )


def to_html(title: str, entries: list[dict[str, Any]]) -> str:
  """The page.

  Args:
    title: of the page.
    entries: for every photograph its `file`; `reason`, if it failed; else
      `pictures`: dicts of `caption`, `thumbnail`, `width`, `height`, and
      `file` (relative to the page) where there is one.
  """
  parts = [_HEAD, f'<h1>{_text(title)}</h1>\n']
  for entry in entries:
    parts.append(f'<section>\n<h2>{_text(entry["file"])}</h2>\n')
    if entry.get('pictures'):
      figures = '\n'.join(_figure(picture) for picture in entry['pictures'])
      parts.append(f'<div class="row">\n{figures}\n</div>\n')
    else:
      parts.append(f'<p class="failed">{_text(entry["reason"])}</p>\n')
    parts.append('</section>\n')
  return ''.join([*parts, '</html>\n'])
