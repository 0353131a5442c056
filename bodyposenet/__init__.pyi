from bodyposenet.common.data.conversion.convert import convert_dataset as convert_dataset
from bodyposenet.common.data.synthetic.dataset import synthesize as synthesize
from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx as export_onnx
from bodyposenet.common.deploy.quantization.quantize import quantize_int8 as quantize_int8
from bodyposenet.common.deploy.runtime.runners import open_runner as open_runner
from bodyposenet.common.evaluation.evaluate import evaluate as evaluate
from bodyposenet.common.inference.detector import find_people as find_people
from bodyposenet.common.inference.estimator import PoseEstimator as PoseEstimator
from bodyposenet.common.inference.inference import infer as infer
from bodyposenet.common.model.training.train import train as train
from bodyposenet.common.pose.draw import draw_people as draw_people
from bodyposenet.common.prune.prune import prune_file as prune_file
from bodyposenet.common.spec.base import load_spec as load_spec
from bodyposenet.common.spec.base import parse_spec as parse_spec
from bodyposenet.common.spec.dataset import DatasetSpec as DatasetSpec
from bodyposenet.common.spec.inference import InferenceSpec as InferenceSpec
from bodyposenet.common.spec.prune import PruneSpec as PruneSpec
from bodyposenet.common.spec.train import TrainSpec as TrainSpec

PLACES: dict[str, str]
__version__: str
