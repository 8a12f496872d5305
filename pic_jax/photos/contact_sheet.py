"""Contact sheet of a folder of outputs, an HTML file with thumbnails."""

import hashlib
import html
import os
import pathlib
import string
import urllib.parse
from typing import Any

import numpy as np

from pic_jax.images import resizing
from pic_jax.runtime import whole_file

THUMBNAILS = 'thumbnails'  # folder next to the contact sheet
THUMBNAIL_SIDE = 512  # pixels of the longer side

_TEMPLATE = pathlib.Path(__file__).with_suffix('.html')


def _text(text: Any) -> str:
  """Escapes text for HTML, and replaces bytes that are not UTF-8."""
  return html.escape(os.fsencode(str(text)).decode('utf-8', 'replace'))


def _url(path: str | os.PathLike) -> str:
  """Quotes a relative path for use as a URL."""
  return urllib.parse.quote(os.fsencode(os.fspath(path)))


def picture(
  folder: pathlib.Path, name: str, rgb: np.ndarray, *, caption: str
) -> dict[str, Any]:
  """Writes a thumbnail of a picture.

  Args:
    folder: path of the folder that holds the contact sheet.
    name: unique name of the picture, which determines the thumbnail's name.
    rgb: [H, W, 3] or [H, W, 1] uint8, the full picture.
    caption: text below the picture.

  Returns:
    Dict for `to_html` with the keys `caption`, `thumbnail` (path relative to
    `folder`), and `width` and `height` (of the full picture, in pixels).
  """
  digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
  path = pathlib.Path(THUMBNAILS) / f'{digest}.jpg'
  (folder / THUMBNAILS).mkdir(exist_ok=True)
  small = resizing.limit_long_side(rgb, THUMBNAIL_SIDE)
  with whole_file.writing(folder / path) as temporary:
    small.save(temporary, 'JPEG', quality=90)
  height, width = rgb.shape[:2]
  size = {'width': width, 'height': height}
  return {'caption': caption, 'thumbnail': str(path)} | size


def _figure(picture: dict[str, Any]) -> str:
  """Renders one picture with its caption; see `to_html`."""
  size = f'width="{picture["width"]}" height="{picture["height"]}"'
  image = (
    f'<img loading="lazy" {size} src="{_url(picture["thumbnail"])}" '
    f'alt="{_text(picture["caption"])}">'
  )
  if picture.get('file'):
    image = f'<a href="{_url(picture["file"])}">{image}</a>'
  return (
    f'<figure>{image}<figcaption>{_text(picture["caption"])}</figcaption>'
    '</figure>'
  )


def to_html(entries: list[dict[str, Any]]) -> str:
  """Renders the contact sheet.

  Args:
    entries: for each photograph, a dict with `file` (its name), `pictures` and
      `reason`. `reason` is shown if `pictures` is empty, because the photograph
      failed or is not finished. A picture is a dict returned by `picture`. It
      may also have `file`, the path of the full picture relative to the contact
      sheet.
  """
  sections = []
  for entry in entries:
    reason = entry['reason'] or 'not finished; run the same command again'
    body = f'<p class="failed">{_text(reason)}</p>'
    if entry['pictures']:
      figures = '\n'.join(_figure(picture) for picture in entry['pictures'])
      body = f'<div class="row">\n{figures}\n</div>'
    sections.append(
      f'<section>\n<h2>{_text(entry["file"])}</h2>\n{body}\n</section>\n'
    )
  template = string.Template(_TEMPLATE.read_text(encoding='utf-8'))
  return template.substitute(sections=''.join(sections))
