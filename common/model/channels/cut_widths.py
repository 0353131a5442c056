"""Cut widths: a network whose layers keep a given number of filters each, those of the greatest norms."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.channels.criteria import Indices, collect_scores, equalize, l2_norm
from bodyposenet.common.model.channels.rebuild import rebuild
from bodyposenet.common.model.channels.tracing import read_graph


def cut_widths(model: Any, widths: Mapping[str, int]) -> Any:
    """Prune a network to given widths: filters that must stay together are weighed together, by the greatest of norms.

    Args:
        model: A ``keras.Model``, channels last; it is left as it is.
        widths: Filters that layers are to have, by their paths; layers that are not named keep theirs.

    Raises:
        UserError: A layer has fewer filters than it is to have, must keep them all, or layers that must have the same
            filters are to have different numbers of them.
    """
    graph = read_graph(model)
    scores = collect_scores(graph, l2_norm(graph), "max")
    kept: dict[str, Indices] = {}
    for paths, free in graph.groups():
        depth = int(graph.producers[paths[0]].kernel.shape[-1])
        wanted = {widths.get(path, depth) for path in paths}
        if len(wanted) > 1 or max(wanted) > depth or (not free and wanted != {depth}):
            numbers = " and ".join(map(str, sorted(wanted)))
            raise UserError(f"{', '.join(paths)}: has {depth} filters, which cannot be cut to {numbers}")
        merged = equalize([score for path in paths for score in scores[path]], "union")
        strongest = np.sort(np.argsort(-merged, kind="stable")[: wanted.pop()])
        kept.update(dict.fromkeys(paths, strongest))
    return rebuild(model, graph, kept)
