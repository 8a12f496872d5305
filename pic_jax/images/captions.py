"""Captions, authors and rights in XMP, IPTC, PNG text and JPEG comments.

Outputs get all of these as XMP, because JPEG, PNG and WebP can all hold XMP.
IPTC, PNG text and JPEG comments are also kept in their own form, where the
output's format can hold it. For EXIF, see `metadata`.
"""

import contextlib
import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from PIL import Image, ImageFile, IptcImagePlugin

RDF = 'http://www.w3.org/1999/02/22-rdf-syntax-ns#'
META = 'adobe:ns:meta/'
LANGUAGE = '{http://www.w3.org/XML/1998/namespace}lang'
NAMESPACES = {
  'dc': 'http://purl.org/dc/elements/1.1/',
  'photoshop': 'http://ns.adobe.com/photoshop/1.0/',
  'xmpRights': 'http://ns.adobe.com/xap/1.0/rights/',
  'Iptc4xmpCore': 'http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/',
  'Iptc4xmpExt': 'http://iptc.org/std/Iptc4xmpExt/2008-02-29/',
  'lr': 'http://ns.adobe.com/lightroom/1.0/',
  'exif': 'http://ns.adobe.com/exif/1.0/',
}
# XMP properties that describe the file and not the photograph. Outputs do not
# get them.
FILE_ONLY = {
  ('photoshop', name)
  for name in ('History', 'ICCProfile', 'ColorMode', 'DocumentAncestors')
} | {('dc', 'format')}
# XMP names, keyed by the numbers (record, dataset) of IPTC IIM 4.2, as in "IPTC
# Photo Metadata".
IPTC = {
  (2, 5): 'dc:title',
  (2, 25): 'dc:subject',
  (2, 40): 'photoshop:Instructions',
  (2, 55): 'photoshop:DateCreated',
  (2, 80): 'dc:creator',
  (2, 85): 'photoshop:AuthorsPosition',
  (2, 90): 'photoshop:City',
  (2, 92): 'Iptc4xmpCore:Location',
  (2, 95): 'photoshop:State',
  (2, 101): 'photoshop:Country',
  (2, 103): 'photoshop:TransmissionReference',
  (2, 105): 'photoshop:Headline',
  (2, 110): 'photoshop:Credit',
  (2, 115): 'photoshop:Source',
  (2, 116): 'dc:rights',
  (2, 120): 'dc:description',
  (2, 122): 'photoshop:CaptionWriter',
}
# Number of the Photoshop resource that holds IPTC data.
IPTC_RESOURCE = 0x0404
# XMP names, keyed by the names of text chunks of a PNG.
PNG_TEXTS = {
  'Title': 'dc:title',
  'Author': 'dc:creator',
  'Description': 'dc:description',
  'Copyright': 'dc:rights',
  'Creation Time': 'photoshop:DateCreated',
  'Source': 'dc:source',
  'Comment': 'exif:UserComment',
}
# RDF containers of properties that can have several values.
LISTS = {'dc:creator': 'Seq', 'dc:subject': 'Bag'}
# Properties that can have a text in each of several languages.
TRANSLATED = {'dc:title', 'dc:description', 'dc:rights', 'exif:UserComment'}
# Largest size of each kind of metadata, so that each fits into a JPEG segment.
MAX_BYTES = 60_000
# Characters that XML does not allow.
FORBIDDEN = re.compile('[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]')

for _prefix, _uri in {**NAMESPACES, 'rdf': RDF, 'x': META}.items():
  ElementTree.register_namespace(_prefix, _uri)


def read(image: ImageFile.ImageFile, notes: list[str]) -> dict[str, Any]:
  """Reads the captions, authors and rights that are not in EXIF.

  Damaged metadata is ignored.

  Args:
    image: the photograph as loaded by Pillow.
    notes: list to which a note for the user may be appended.

  Returns:
    Dict with the keys `xmp` (bytes), `iptc` (bytes, as in a JPEG file),
    `comment` (bytes) and `texts` (PNG texts, keyed by name). A key is missing
    if the file has no such metadata, or too much of it.
  """
  entries: dict[str, Any] = {}
  with contextlib.suppress(Exception):  # damaged metadata
    comment = image.info.get('comment')
    if isinstance(comment, str):
      comment = comment.encode()
    if comment and len(comment) <= MAX_BYTES:
      entries['comment'] = comment
  with contextlib.suppress(Exception):
    if texts := dict(_texts(image)):
      entries['texts'] = texts
  with contextlib.suppress(Exception):
    data = image.info['photoshop'][IPTC_RESOURCE]
    if data and len(data) <= MAX_BYTES:
      entries['iptc'] = data
  root = ElementTree.Element(f'{{{RDF}}}Description', {f'{{{RDF}}}about': ''})
  with contextlib.suppress(Exception):
    _copy_xmp(image, root)
  for name, values in _properties(image, entries).items():
    if root.find(_tag(name)) is None:
      _append(root, name, values)
  with contextlib.suppress(Exception):
    packet = _packet(root)
    if len(packet) > MAX_BYTES:
      notes.append(f'captions of more than {MAX_BYTES:,} bytes left out')
    elif len(root):
      entries['xmp'] = packet
  return entries


def app13(iptc: bytes) -> bytes:
  """Returns the JPEG segment APP13 with the given IPTC data."""
  block = b'8BIM' + IPTC_RESOURCE.to_bytes(2, 'big') + b'\0\0'
  block += len(iptc).to_bytes(4, 'big') + iptc + b'\0' * (len(iptc) % 2)
  body = b'Photoshop 3.0\0' + block
  return b'\xff\xed' + (len(body) + 2).to_bytes(2, 'big') + body


def _texts(image: Image.Image) -> Iterator[tuple[str, str]]:
  """Yields the names and texts of a PNG, up to `MAX_BYTES` of text.

  Texts that software wrote for itself are left out.
  """
  bytes_left = MAX_BYTES
  for name, text in getattr(image, 'text', {}).items():
    is_by_software = name.startswith(('Raw profile', 'XML:', 'exif:', 'date:'))
    if is_by_software:
      continue
    bytes_left -= len(text.encode(errors='replace'))
    if bytes_left >= 0:
      yield str(name), str(text)


def _tag(name: str) -> str:
  """Returns the name that ElementTree uses for an XMP name 'prefix:name'."""
  prefix, _, local = name.partition(':')
  return f'{{{NAMESPACES[prefix]}}}{local}'


def _copy_xmp(image: Image.Image, root: ElementTree.Element) -> None:
  """Copies the XMP properties that describe the photograph to `root`.

  Raises:
    Exception: if the XMP is damaged. The type is not specified, so the caller
      catches all exceptions.
  """
  data = image.info.get('xmp') or image.info.get('XML:com.adobe.xmp') or b''
  if isinstance(data, str):
    data = data.encode()
  # Entities or a huge document may be meant to exhaust the memory.
  has_entities = b'<!DOCTYPE' in data or b'<!ENTITY' in data
  if not data or has_entities or len(data) > 1 << 20:
    return
  prefixes = {uri: prefix for prefix, uri in NAMESPACES.items()}

  def is_kept(tag: str) -> bool:
    uri, _, local = tag[1:].partition('}')
    if uri == NAMESPACES['exif']:  # its other properties are place and camera
      return local == 'UserComment'
    return uri in prefixes and (prefixes[uri], local) not in FILE_ONLY

  text = data.strip(b'\0 \r\n\t').decode()
  # Descriptions inside a property are parts of its value.
  descriptions = [
    description
    for rdf in ElementTree.fromstring(text).iter(f'{{{RDF}}}RDF')
    for description in rdf.findall(f'{{{RDF}}}Description')
  ]
  for description in descriptions:
    for tag, value in description.attrib.items():
      if is_kept(tag) and root.find(tag) is None:
        ElementTree.SubElement(root, tag).text = value
    kept = [
      element
      for element in description
      if is_kept(element.tag) and root.find(element.tag) is None
    ]
    for element in kept:
      _remove_coordinates(element)
    root.extend(kept)


def _remove_coordinates(element: ElementTree.Element) -> None:
  """Removes the coordinates of IPTC's locations, at any depth of an element."""
  prefix = _tag('exif:GPS')
  for part in list(element.iter()):
    for name in [name for name in part.attrib if name.startswith(prefix)]:
      del part.attrib[name]
    for child in [child for child in part if child.tag.startswith(prefix)]:
      part.remove(child)


def _properties(
  image: ImageFile.ImageFile, entries: dict[str, Any]
) -> dict[str, list[str]]:
  """Collects the values of IPTC, PNG texts and comment, keyed by XMP name.

  Args:
    image: the photograph as loaded by Pillow.
    entries: `texts` and `comment` as in the result of `read`.
  """
  properties: dict[str, list[str]] = {}
  with contextlib.suppress(Exception):
    info = IptcImagePlugin.getiptcinfo(image) or {}
    for key, name in IPTC.items():
      values = info.get(key, [])
      for value in values if isinstance(values, list) else [values]:
        properties.setdefault(name, []).append(_decode(value))
  for key, name in PNG_TEXTS.items():
    if text := entries.get('texts', {}).get(key):
      properties.setdefault(name, [text])
  if comment := entries.get('comment'):
    properties.setdefault('exif:UserComment', [_decode(comment)])
  return properties


def _decode(data: bytes) -> str:
  """Decodes UTF-8, or Latin-1 if the bytes are not UTF-8."""
  try:
    return data.decode('utf-8')
  except UnicodeDecodeError:
    return data.decode('latin-1')


def _append(root: ElementTree.Element, name: str, values: list[str]) -> None:
  """Appends a property, in an RDF container where XMP requires one."""
  values = [FORBIDDEN.sub('', value) for value in values]
  element = ElementTree.SubElement(root, _tag(name))
  kind = 'Alt' if name in TRANSLATED else LISTS.get(name)
  if kind is None:
    element.text = ' '.join(values)
    return
  container = ElementTree.SubElement(element, f'{{{RDF}}}{kind}')
  if kind == 'Alt':
    values = ['; '.join(values)]
  for value in values:
    item = ElementTree.SubElement(container, f'{{{RDF}}}li')
    item.text = value
    if kind == 'Alt':
      item.set(LANGUAGE, 'x-default')


def _packet(root: ElementTree.Element) -> bytes:
  """Serialises an RDF description as an XMP packet."""
  meta = ElementTree.Element(f'{{{META}}}xmpmeta')
  ElementTree.SubElement(meta, f'{{{RDF}}}RDF').append(root)
  body = ElementTree.tostring(meta, encoding='unicode').encode()
  begin = b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>'
  return begin + body + b'<?xpacket end="w"?>'
