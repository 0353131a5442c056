"""Words: those that options take, for specs, flags and functions. It imports nothing, so that flags start fast."""

from typing import Literal

CalibrationMethod = Literal["entropy", "minmax", "percentile"]
CriterionName = Literal["l2_norm", "bn_scale", "taylor", "geometric_median"]
DataFormat = Literal["channels_last", "channels_first"]
DataType = Literal["fp32", "fp16", "int8"]
Device = Literal["auto", "cpu", "cuda", "tensorrt"]
EngineLibrary = Literal["tensorrt", "tensorrt-rtx"]
Equalization = Literal["union", "intersection", "arithmetic_mean", "geometric_mean"]
InputType = Literal["image", "dir", "json"]
LabelFormat = Literal["coco", "label-studio", "yolo"]
Normalizer = Literal["max", "L2", "cost"]
RunnerName = Literal["auto", "exact", "onnxruntime", "openvino"]
