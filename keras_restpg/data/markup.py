"""The text of HTML pages, with lxml."""

import dataclasses
import re

from lxml import etree
from lxml import html as lxml_html

from keras_restpg.errors import InputError

_HIDDEN = {"head", "noscript", "script", "style", "template"}
_INLINE = {
    *("a", "abbr", "b", "bdi", "bdo", "cite", "code", "del", "dfn", "em"),
    *("font", "i", "ins", "kbd", "mark", "q", "s", "samp", "small", "span"),
    *("strike", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr"),
}
# How libxml2 says that it left out what stands deeper.
_TOO_DEEP = "Excessive depth"


@dataclasses.dataclass(frozen=True)
class Page:
    """A page's title, and its text with a line for each block."""

    title: str
    text: str


def read_page(source: str, where: str, dropped: str = "") -> Page:
    """The title and the visible text of a page.

    Args:
        source: HTML, however broken.
        where: file, for messages.
        dropped: an XPath expression of the elements to leave out.

    Raises:
        InputError: elements are nested deeper than the parser reads.
    """
    parser = lxml_html.HTMLParser(
        encoding="utf-8", huge_tree=True, remove_comments=True, remove_pis=True
    )
    data = source.encode("utf-8", "replace")
    try:
        tree = lxml_html.document_fromstring(data, parser=parser)
    except etree.ParserError:
        return Page("", "")  # There is nothing in it.
    if any(_TOO_DEEP in entry.message for entry in parser.error_log):
        raise InputError(f"{where}: its elements are nested too deep.")
    title = " ".join((tree.findtext(".//title") or "").split())
    for element in tree.xpath(dropped) if dropped else ():
        if element.getparent() is not None:
            element.drop_tree()  # What follows it stays.
    return Page(title, _text(tree))


def _text(tree):
    """Text with a mark at each border of a block, then the marks as lines."""
    pieces, hidden, kept = [], 0, 0
    for event, element in etree.iterwalk(tree, events=("start", "end")):
        tag = element.tag if isinstance(element.tag, str) else ""
        step = 1 if event == "start" else -1
        hidden += step * (tag in _HIDDEN)
        kept += step * (tag == "pre")
        if event == "start" or tag != "br":
            pieces.append(_border(tag))
        text = element.text if event == "start" else element.tail
        if text and not hidden:
            pieces.append(text if kept else re.sub(r"\s+", " ", text))
    text = re.sub(" {2,}", " ", "".join(pieces))
    text = re.sub(
        r"[ \v\f]*[\v\f][ \v\f]*",
        lambda marks: "\n\n" if "\f" in marks.group() else "\n",
        text,
    )
    return re.sub(r"\n\s*\n\n*", "\n\n", text).strip()


def _border(tag):
    if tag == "br":
        return "\n"
    if tag in ("p", "h1", "h2", "h3", "h4", "h5", "h6"):
        return "\f"
    if tag in ("td", "th"):
        return " "
    return "" if tag in _INLINE else "\v"
