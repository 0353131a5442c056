"""Training data for the criterion that looks at it, as training would see it but for the augmentation."""

from dataclasses import dataclass, field
from itertools import islice

from bodyposenet.common.data.loading.batches import Batch
from bodyposenet.common.model.training.plan import make_plan
from bodyposenet.common.spec.train import Loss, TrainSpec


@dataclass(frozen=True)
class TrainingData:
    """What a network was trained on.

    Attributes:
        batches: Images, targets and masks.
        loss: What was minimised.
    """

    batches: tuple[Batch, ...]
    loss: Loss = field(default_factory=Loss)

    @classmethod
    def of(cls, spec: TrainSpec, count: int) -> "TrainingData":
        """The first batches of a training; fewer if an epoch has no more.

        Raises:
            UserError: The spec does not fit its data.
        """
        plain = {"augmentation_config": spec.dataloader.augmentation_config.switched_off()}
        loader = spec.dataloader.model_copy(update=plain)
        plan = make_plan(spec.model_copy(update={"dataloader": loader, "pretrained_weights": None}))
        return cls(tuple(islice(plan.batches(0, first=0), count)), spec.loss)
