"""Joined maps: one convolution that draws heatmaps and fields side by side, made two, each of its own maps.

OpenPose's Caffe models end in such maps, ``net_output``, heatmaps first; others have the fields first.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bodyposenet.common.adopt.graph import Graph, Node

GREY = np.zeros((1, 64, 64, 3), np.float32)  # a picture of nobody
SURE = 0.5  # least mean of what is the background of nobody, and more than that of anything else


def split_maps(graph: Graph, counts: Sequence[int], *, fields_first: bool = False) -> Graph:
    """Make two convolutions, joined, of each that draws an output of heatmaps and fields.

    Args:
        graph: Its kernels count filters first.
        counts: Of heatmaps, with the background, and of the channels of fields.
        fields_first: Take the first filters to be those of fields.

    Returns:
        The graph itself if there is no such output.
    """
    drawing = {id(node) for node in map(graph.maker, graph.outputs) if node is not None}
    drawing |= {id(graph.maker(node.inputs[0])) for node in graph.nodes if id(node) in drawing and _turns(node)}
    joined = [node for node in graph.nodes if id(node) in drawing and _count_filters(graph, node) == sum(counts)]
    if not joined:
        return graph
    constants, nodes = dict(graph.constants), list[Node]()
    ends = [0, counts[1] if fields_first else counts[0], sum(counts)]
    for node in graph.nodes:
        if node not in joined:
            nodes.append(node)
            continue
        made = [f"{node.output}/{part}" for part in ("first", "second")]
        for start, end, name in zip(ends, ends[1:], made, strict=False):
            weights = [f"{name}/{place}" for place, _ in enumerate(node.inputs[1:])]
            constants |= {new: constants[old][start:end] for new, old in zip(weights, node.inputs[1:], strict=True)}
            nodes.append(Node("Conv", name, (node.inputs[0], *weights), (name,), node.attributes))
        nodes.append(Node("Concat", node.name, tuple(made), node.outputs, {"axis": 1}))
    return replace(graph, nodes=tuple(nodes), constants=constants)


def _turns(node: Node) -> bool:
    """Tell whether all that an operation does is to give the axes another order."""
    return node.kind == "Transpose" and len(node.inputs) == 1


def _count_filters(graph: Graph, node: Node) -> int:
    """How many filters a convolution of one group has; 0 of anything else."""
    weights = [graph.constants.get(name) for name in node.inputs[1:]]
    if node.kind != "Conv" or node.attributes.get("group", 1) != 1 or not weights or any(w is None for w in weights):
        return 0
    lengths = {len(each) if each is not None and each.ndim else 0 for each in weights}
    return lengths.pop() if len(lengths) == 1 else 0


def is_turned(model: Any) -> bool:
    """Tell by a grey picture whether what are thought to be heatmaps are fields.

    Where nobody is, the background, the last heatmap, is 1, and all else is 0.

    Args:
        model: A ``keras.Model`` that draws heatmaps of each stage, then the fields.
    """
    drawn = [np.asarray(maps) for maps in model(GREY)]
    background, last = (float(drawn[place][..., -1].mean()) for place in (len(drawn) // 2 - 1, -1))
    return background < SURE < last
