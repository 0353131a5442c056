"""A page of HTML, read back, and the charts in it."""

from html.parser import HTMLParser
from xml.etree import ElementTree

VOID = {"meta", "img", "br", "link", "input"}


class Page(HTMLParser):
    """A page's elements, and whether every one that was opened was closed in turn."""

    def __init__(self, text):
        super().__init__()
        self.found, self.open, self.text = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip() and (not self.open or self.open[-1] != "style"):
            self.text.append(data.strip())

    def all(self, tag):
        return [attributes for name, attributes in self.found if name == tag]

    def charts(self, room="wide"):
        """The charts as they are drawn for a desk, ``wide``, or for a phone, ``narrow``."""
        return [each for each in self.all("svg") if room in each.get("class", "").split()]


def read_chart(fitted, room="wide"):
    """Of a chart that is drawn for each width, the one for a desk, ``wide``, or for a phone, ``narrow``."""
    (chart,) = [each for each in ElementTree.fromstring(fitted).iter("svg") if room in each.get("class").split()]
    return chart
