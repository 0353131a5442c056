"""Markdown: pages that Kubeflow and MLflow render, in which a layer's name keeps its underscores."""

import re

from bodyposenet.common.plain_text import clean_message

UNDERSCORE = re.compile(r"(`[^`\n]*`|\]\([^)]*\)|https?://\S+)|_")  # or what goes before: code, and addresses


def keep_underscores(page: str) -> str:
    """Escape the underscores of a page, of which pairs would be shown as emphasis; those in code and addresses stay."""
    return UNDERSCORE.sub(lambda found: found[1] or r"\_", page)


def make_plain(text: str) -> str:
    """Make a text that may be anybody's fit for a page: no markup, links or tables of its own, controls or secrets."""
    plain = clean_message(text)
    for mark, instead in (("`", "'"), ("|", "/"), ("<", "&lt;"), ("](", "] (")):
        plain = plain.replace(mark, instead)
    return plain
