"""Markdown: pages that Kubeflow and MLflow render, in which a layer's name keeps its underscores."""

import re

CODE_OR_UNDERSCORE = re.compile(r"(`[^`]*`)|_")


def keep_underscores(page: str) -> str:
    """Escape the underscores of a page, of which pairs would be shown as emphasis; those in code stay."""
    return CODE_OR_UNDERSCORE.sub(lambda found: found[1] or r"\_", page)
