"Pictures as SVG: what is drawn takes the colour of the text around it, in light and in dark"
import base64
import html
import io
import re
from xml.etree import ElementTree

from PIL import Image

INK = '#0a0b0c'  # _site/matplotlibrc draws axes and text in it
FONT = 'system-ui, sans-serif'
MONOSPACE = 'ui-monospace, monospace'
SVG = 'http://www.w3.org/2000/svg'
HREF = '{http://www.w3.org/1999/xlink}href'
# a picture that is a file of its own asks the reader's system: GitHub shows a README in both
SCHEMES = ('<style>svg { color: #1f2328 } '
           '@media (prefers-color-scheme: dark) { svg { color: #e6edf3 } }</style>')

def rounded(text):
    "Coordinates with two digits, on one line: a hundredth of a pixel is not seen"
    def shorter(number):
        short = f'{float(number[0]):.2f}'.rstrip('0').rstrip('.')
        return '0' if short == '-0' else short
    return ' '.join(re.sub(r'-?\d+\.\d{3,}', shorter, text).split())

def restyled(style):
    "Ink and fonts of the page in place of matplotlib's"
    for black in (INK, '#000000'): style = style.replace(black, 'currentColor')
    style = re.sub(r'font-family:[^;]*mono[^;]*', f'font-family: {MONOSPACE}', style, flags=re.I)
    return re.sub(r"font-family: *'[^;]*", f'font-family: {FONT}', style)

def fewer_colours(address):
    "An image in a picture, such as a heat map, with at most 256 colours: a quarter of the bytes"
    kind, _, data = address.partition(';base64,')
    if kind != 'data:image/png': return address
    image = Image.open(io.BytesIO(base64.b64decode(data))).convert('RGBA')
    # what can be seen through stays as it is
    if image.getextrema()[3] != (255, 255): return address
    small = io.BytesIO()
    few = image.convert('RGB').quantize(256, dither=Image.Dither.NONE)
    few.save(small, 'PNG', optimize=True)
    new = f'{kind};base64,{base64.b64encode(small.getvalue()).decode()}'
    return min(address, new, key=len)

def is_invisible(node):
    "The grounds of figure and axes: neither filled nor outlined"
    style = node.get('style', '')
    return node.tag == f'{{{SVG}}}path' and 'fill: none' in style and 'stroke' not in style

def slimmed(node):
    "The children of a node, without what is not seen and without groups that only group"
    for child in list(node):
        slimmed(child)
        place = list(node).index(child)
        if is_invisible(child): node.remove(child)
        if child.tag in (f'{{{SVG}}}g', f'{{{SVG}}}defs') and not child.attrib:
            is_group = child.tag == f'{{{SVG}}}g'
            if is_group or not len(child):
                node.remove(child)
                for n, grandchild in enumerate(child): node.insert(place + n, grandchild)

def from_matplotlib(svg):
    "What matplotlib draws, the same on every run: no date, no fonts of its own, no fixed ink"
    ElementTree.register_namespace('', SVG)
    root = ElementTree.fromstring(svg)
    parents = {child: parent for parent in root.iter() for child in parent}
    for node in list(root.iter()):
        # its style sheet would hold for the whole page; the root is inherited likewise
        if node.tag in (f'{{{SVG}}}metadata', f'{{{SVG}}}style'): parents[node].remove(node)
        if HREF in node.attrib: node.set('href', node.attrib.pop(HREF))
        if 'style' in node.attrib: node.set('style', restyled(node.get('style')))
        if node.tag == f'{{{SVG}}}image': node.set('href', fewer_colours(node.get('href')))
        for name in ('d', 'x', 'y', 'width', 'height', 'transform', 'points', 'viewBox'):
            if name in node.attrib: node.set(name, rounded(node.get(name)))
        if re.match(r'rotate\(-?0 ', node.get('transform', '')): del node.attrib['transform']
    # matplotlib names every group; only what is referred to needs a name
    used = re.findall(r'(?:url\(#|href="#)([^)"]+)', ElementTree.tostring(root, 'unicode'))
    for node in root.iter():
        if node.get('id') not in used: node.attrib.pop('id', None)
    slimmed(root)
    width, height = (float(n) for n in root.get('viewBox').split()[2:])
    # one unit is one pixel, not one point
    root.attrib = dict(width=f'{width:.0f}', height=f'{height:.0f}', viewBox=root.get('viewBox'),
                       fill='currentColor')
    root.attrib |= {'stroke-linejoin': 'round', 'stroke-linecap': 'butt'}
    for node in root.iter():
        if not (node.text or '').strip(): node.text = None
        if not (node.tail or '').strip(): node.tail = '\n'
    root.text = '\n'
    return ElementTree.tostring(root, 'unicode')

def with_schemes(svg):
    "A picture that stands alone: dark ink in the light, light ink in the dark"
    svg = svg.replace(SCHEMES, '')
    start = re.search(r'<svg[^>]*>', svg).end()
    return svg[:start] + SCHEMES + svg[start:]

def inline(svg, alt, prefix):
    "A picture as a part of a page: its names begin with `prefix`, nothing in it holds for the page"
    svg = re.sub(r'<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->', '', svg, flags=re.S)
    svg = re.sub(r'<(style|title|metadata)\b.*?</\1>', '', svg, flags=re.S)
    svg = svg.replace('xlink:href=', 'href=')
    svg = re.sub(r'\bid="', f'id="{prefix}', svg)
    svg = svg.replace('url(#', f'url(#{prefix}').replace('href="#', f'href="#{prefix}')
    # white is what lies behind the picture
    svg = re.sub(r'(?<=: )#ffffff', 'var(--color-background-primary, #fff)', svg)
    svg = re.sub(r' (?:role|aria-label|aria-labelledby)="[^"]*"', '', svg)
    svg = svg.replace('<svg ', f'<svg role="img" aria-label="{html.escape(alt)}" ', 1)
    # a blank line would end the block of HTML
    return re.sub(r'\n\s*\n', '\n', svg.strip())
