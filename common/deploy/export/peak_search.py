"""Peak search inside an ONNX model: a server then sends some hundred numbers instead of the heatmaps.

The cells are those that :func:`bodyposenet.common.pose.peaks.find_peaks` starts from: above the threshold, no
neighbour higher, and of equal neighbours the first. What it does next, placing peaks between the cells and finding
those hidden on the slopes of others, is left to the reader.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from bodyposenet.common.deploy.onnx_file import OUTPUTS, PEAK_OUTPUTS

if TYPE_CHECKING:
    from onnx import ModelProto

LOWEST = float(np.finfo(np.float32).min)
NOBODY = -1  # row and column where there is no further peak


def with_peaks(model: "ModelProto", joints: int, *, most: int = 64, threshold: float = 0.1) -> "ModelProto":
    """A copy of a model with two more outputs, each joint's strongest peaks first.

    ``peak_scores`` ``(batch, K, most)`` float32 are heatmap values, 0 where there are no more peaks; ``peak_cells``
    ``(batch, K, most, 2)`` int64 their column and row, -1 there.

    Args:
        model: A pose network.
        joints: K; the heatmaps' channels beyond are no joints.
        most: Peaks of a joint.
        threshold: Least value of a peak.
    """
    from onnx import TensorProto, helper

    searched: ModelProto = type(model).FromString(model.SerializeToString())
    _Search(searched.graph, joints, most, threshold).write()
    peaks: list[str | int] = ["batch", joints, most]
    for name, kind, shape in (
        (PEAK_OUTPUTS[0], TensorProto.FLOAT, peaks),
        (PEAK_OUTPUTS[1], TensorProto.INT64, [*peaks, 2]),
    ):
        searched.graph.output.append(helper.make_tensor_value_info(name, kind, shape))
    return searched


class _Search:
    """Writes the nodes of the search.

    Args:
        graph: The graph to append to.
        joints: K.
        most: Peaks of a joint.
        threshold: Least value of a peak.
    """

    def __init__(self, graph: Any, joints: int, most: int, threshold: float) -> None:
        self.graph, self.joints, self.most, self.threshold = graph, joints, most, threshold

    def write(self) -> None:
        """Append everything."""
        planes = self.add("Transpose", [OUTPUTS[0]], perm=[0, 3, 1, 2])
        planes = self.add("Slice", [planes, self.ints(0), self.ints(self.joints), self.ints(1)])
        rows = self.add("MaxPool", [planes], kernel_shape=[1, 3], pads=[0, 1, 0, 1])
        before = self.add("Max", [self.moved(rows, down=1), self.moved(planes, right=1)])
        after = self.add("Max", [self.moved(rows, down=-1), self.moved(planes, right=-1)])
        higher = self.add("And", [self.add("Greater", [planes, before]), self.add("GreaterOrEqual", [planes, after])])
        above = self.add("Greater", [planes, self.floats(self.threshold)])
        finite = self.add("Less", [planes, self.floats(np.inf)])
        peak = self.add("And", [higher, self.add("And", [above, finite])])
        peaks = self.add("Where", [peak, planes, self.floats(0.0)])
        self.strongest(peaks)

    def strongest(self, peaks: str) -> None:
        """The outputs, of planes that are 0 but for the peaks."""
        flat = self.add("Reshape", [peaks, self.ints(0, 0, -1)])
        room = self.add("Pad", [flat, self.ints(0, 0, 0, 0, 0, self.most), self.floats(0.0)])  # a grid may have fewer
        scores, places = PEAK_OUTPUTS[0], "peaks/places"
        self.node("TopK", [room, self.ints(self.most)], [scores, places], axis=2)
        columns = self.add("Slice", [self.add("Shape", [peaks]), self.ints(3), self.ints(4)])
        found = self.add("Greater", [scores, self.floats(0.0)])
        sides = [
            self.add("Unsqueeze", [self.add("Where", [found, side, self.ints(NOBODY)]), self.ints(3)])
            for side in (self.add("Mod", [places, columns]), self.add("Div", [places, columns]))
        ]
        self.node("Concat", sides, [PEAK_OUTPUTS[1]], axis=3)

    def moved(self, planes: str, *, down: int = 0, right: int = 0) -> str:
        """Planes whose cell has the value of another one; beyond the border there is nothing."""
        pads = self.ints(0, 0, max(down, 0), max(right, 0), 0, 0, max(-down, 0), max(-right, 0))
        padded = self.add("Pad", [planes, pads, self.floats(LOWEST)])
        ends = [-side if side > 0 else np.iinfo(np.int64).max for side in (down, right)]
        starts = [max(-side, 0) for side in (down, right)]
        return self.add("Slice", [padded, self.ints(*starts), self.ints(*ends), self.ints(2, 3)])

    def add(self, op: str, inputs: list[str], **attributes: Any) -> str:
        """A node with one output."""
        return self.node(op, inputs, [f"peaks/{op.lower()}{len(self.graph.node)}"], **attributes)

    def node(self, op: str, inputs: list[str], outputs: list[str], **attributes: Any) -> str:
        from onnx import helper

        self.graph.node.append(helper.make_node(op, inputs, outputs, name=outputs[0], **attributes))
        return outputs[0]

    def ints(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def floats(self, value: float) -> str:
        return self.constant(np.array(value, np.float32))

    def constant(self, array: np.ndarray) -> str:
        from onnx import numpy_helper

        name = f"peaks/constant{len(self.graph.initializer)}"
        self.graph.initializer.append(numpy_helper.from_array(array, name))
        return name
