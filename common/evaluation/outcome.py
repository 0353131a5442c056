"""Outcome: what an evaluation found, and its sentence."""

from dataclasses import dataclass, field

from bodyposenet.common.data.annotations.coco import Floats
from bodyposenet.common.data.suspects.suspect import Suspect
from bodyposenet.common.evaluation.coco_metrics import MAIN, NOTHING
from bodyposenet.common.evaluation.false_positives import FalsePositives
from bodyposenet.common.evaluation.joint_errors import JointErrors
from bodyposenet.common.inference.detections import summarize
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.storage.location import Location


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        metrics: COCO's ten numbers by TAO's names; -1 where the set has no such people.
        false_positives: Who was found and is not there.
        joint_errors: What is wrong with the joints of people who were found.
        images: Photos of the test set.
        people: People found in them.
        labelled: People in them with at least one labelled joint, crowds aside.
        empty: Photos in which nobody was found.
        skipped: What is wrong with each photo that was not used; its people count as missed.
        results_dir: Where the files are.
        ran: What ran the network, on which instruction set, and how fast if that was measured.
        speed_up: Times as fast as float in ONNX Runtime; None if that was not measured.
        spec: How people were found: what was asked for, with what the model's card tells.
        suspects: Labels that are likely wrong, the likeliest first; None if nobody asked.
        precisions: See :class:`~bodyposenet.common.evaluation.coco_metrics.CocoScores`.
    """

    metrics: dict[str, float]
    false_positives: FalsePositives
    joint_errors: JointErrors
    images: int
    people: int
    labelled: int
    empty: int
    skipped: list[str]
    results_dir: Location
    ran: str = ""
    speed_up: float | None = None
    spec: InferenceSpec = field(default_factory=InferenceSpec)
    suspects: list[Suspect] | None = None
    precisions: dict[float, Floats] = field(default_factory=dict)

    @property
    def ap(self) -> float:
        """AP over OKS .50 to .95, all sizes; -1 if there was nobody to find."""
        return self.metrics[MAIN]

    def summary(self) -> str:
        """The outcome in one or two sentences."""
        if self.ap == NOTHING:
            what = "photos" if not self.images else "labelled people"
            return f"The test set has no {what}: there is nothing to measure."
        labelled = f", {self.labelled:,} labelled"
        return f"AP {self.ap:.3f}: {summarize(self.people, self.images, self.empty, len(self.skipped), labelled)}"
