"""Markdown: pages that Kubeflow and MLflow render, in which a layer's name keeps its underscores."""

import re

UNDERSCORE = re.compile(r"(`[^`\n]*`|\]\([^)]*\)|https?://\S+)|_")  # or what goes before: code, and addresses


def keep_underscores(page: str) -> str:
    """Escape the underscores of a page, of which pairs would be shown as emphasis; those in code and addresses stay."""
    return UNDERSCORE.sub(lambda found: found[1] or r"\_", page)
