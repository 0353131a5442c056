"""Train spec: everything that a training, or a retraining after pruning, is told."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from bodyposenet.common.spec.augmentation import AugmentationConfig, SpatialAugParams
from bodyposenet.common.spec.base import Bool, Count, Int, Name, Natural, NotNegative, PathText, Positive, Strict
from bodyposenet.common.spec.loader import (
    Dataloader,
    DatasetConfig,
    ImageConfig,
    ImageDims,
    LabelProcessorConfig,
    NormalizationParams,
    PoseConfigRef,
)
from bodyposenet.common.spec.network import BackboneAttributes, ModelSpec
from bodyposenet.common.spec.optimizer import (
    Adam,
    AdamW,
    BpNetExponentialDecayLRSchedule,
    Distillation,
    FocalLossParams,
    Loss,
    OptimizerSpec,
    Schedule,
    SoftstartAnnealingLearningRateSchedule,
    WeightedMomentumOptimizer,
)
from bodyposenet.common.spec.problems import SpecMisfitError, did_you_mean

__all__ = [
    "Adam",
    "AdamW",
    "AugmentationConfig",
    "BackboneAttributes",
    "BpNetExponentialDecayLRSchedule",
    "Dataloader",
    "DatasetConfig",
    "Distillation",
    "EarlyStopping",
    "FinetuningConfig",
    "FocalLossParams",
    "ImageConfig",
    "ImageDims",
    "LabelProcessorConfig",
    "Loss",
    "ModelSpec",
    "NormalizationParams",
    "OptimizerSpec",
    "PoseConfigRef",
    "Schedule",
    "SoftstartAnnealingLearningRateSchedule",
    "SpatialAugParams",
    "TrainSpec",
    "WeightedMomentumOptimizer",
    "Wish",
]


WISHES = ("auto", True, False, "force")  # beside null


def _check_wish(wish: Any) -> Any:
    """Refuse what is no wish; 1 and 0, which Python takes for true and false, too."""
    if wish is None or isinstance(wish, bool) or (isinstance(wish, str) and wish in WISHES):
        return wish
    near = did_you_mean(wish, [choice for choice in WISHES if isinstance(choice, str)])
    raise SpecMisfitError(((), f"should be auto, true, false, force or null (got {wish!r}){near}"))


Wish = Annotated[bool | Literal["auto", "force"] | None, BeforeValidator(_check_wish)]


class FinetuningConfig(Strict):
    """Going on from a checkpoint of another training.

    Attributes:
        checkpoint_path: The checkpoint.
        ckpt_epoch_num (epochs): Epochs that it has seen; that many fewer are trained.
        is_finetune_exp: Go on from the checkpoint.
    """

    checkpoint_path: PathText | None = None
    ckpt_epoch_num: Count = 0
    is_finetune_exp: Bool = False

    @field_validator("ckpt_epoch_num", mode="before")
    @classmethod
    def _from_the_start(cls, epoch: Any) -> Any:
        return 0 if epoch is None else epoch

    @field_validator("is_finetune_exp")
    @classmethod
    def _needs_a_checkpoint(cls, wanted: bool, info: ValidationInfo) -> bool:
        if wanted and "checkpoint_path" in info.data and info.data["checkpoint_path"] is None:
            raise SpecMisfitError((("checkpoint_path",), "missing; is_finetune_exp needs the checkpoint to go on from"))
        return wanted


class EarlyStopping(Strict):
    """Extension: the end of a training that no longer gets better.

    Attributes:
        patience (validations): Validations in a row without a better AP after which it ends.
        min_delta (AP): An AP is better that is above the best so far by more than this.
    """

    patience: Natural
    min_delta: NotNegative = 0.0


class TrainSpec(Strict):
    """What ``bpnet train`` reads.

    Attributes:
        checkpoint_dir: Results folder, where the command line names none.
        log_every_n_secs (seconds): Time between lines of progress.
        num_epoch (epochs): Length of the training.
        checkpoint_n_epoch (epochs): Time between checkpoints; it need not divide num_epoch.
        summary_every_n_steps (steps): Time between TensorBoard points; 0 writes none.
        infrequent_summary_every_n_steps (steps): Accepted; without effect, as in TAO.
        validation_every_n_epoch (epochs): Time between looks at the validation records. TAO does not look at them.
        max_ckpt_to_keep (checkpoints): So many checkpoints of this training stay, the newest, however often it is
            resumed. TAO keeps all.
        random_seed (number): What weights, shuffling and augmentation are drawn from.
        pretrained_weights: A model whose weights are taken, layer by layer by name: a path, an address, or
            pretrained:NAME.
        load_graph: Train the network of ``pretrained_weights`` itself, as pruning left it.
        fit_width: Extension: what becomes of wider weights than ``model`` has. With ``prune`` they are cut, and each
            layer keeps its filters of the greatest norms; null refuses weights of other widths.
        inference_spec: How people are found in validation; null takes the defaults, at the size of training. TAO
            requires it, and does not use it.
        finetuning_config: Going on from a checkpoint; null does not.
        use_stagewise_lr_multipliers: Later stages learn faster (1, 2 for biases; 4, 8 from stage 2 on). TAO loses this
            after pruning.
        evaluator: Accepted; without effect.
        hooks: Accepted; without effect.
        key: What model files are encrypted with, where neither ``-k`` nor the environment tells; never written.
        final_model_name: Name of the trained model's file, without its ending.
        dataloader: Records, sizes, augmentation and targets.
        model: The network.
        optimizer: How weights follow their gradients.
        loss: What is minimised.
        mixed_precision: Extension: compute in 16 bits; null leaves it to ``--use_amp``, which means true. With ``auto``
            where this machine is faster in them, true likewise and a warning where it is not, ``force`` in any case.
        deterministic: Extension: the same result on every run, at some cost in speed.
        jit_compile: Extension: compile the step with XLA, on one device. Null and false leave it, as on processors it
            is several times slower.
        checkpoint_n_minutes (minutes): Extension: time between checkpoints within an epoch. Null makes them when the
            training is told to end, only.
        early_stopping: Extension: the end of a training that no longer gets better; null trains all epochs.
        distillation: Extension: a teacher beside the labels; null learns from the labels alone.
    """

    class_name: Literal["BpNetTrainer"] = Field(default="BpNetTrainer", alias="__class_name__")
    checkpoint_dir: PathText | None = None
    log_every_n_secs: Natural = 1
    num_epoch: Natural = 2
    checkpoint_n_epoch: Natural = 1
    summary_every_n_steps: Count = 1
    infrequent_summary_every_n_steps: Count = 0
    validation_every_n_epoch: Natural = 20
    max_ckpt_to_keep: Natural = 5
    random_seed: Int = Field(default=42, ge=0)
    pretrained_weights: PathText | None = None
    load_graph: Bool = False
    fit_width: Literal["prune"] | None = None
    inference_spec: PathText | None = None
    finetuning_config: FinetuningConfig = FinetuningConfig()
    use_stagewise_lr_multipliers: Bool = False
    evaluator: Any = None
    hooks: Any = None
    key: str | None = Field(default=None, exclude=True, repr=False)
    final_model_name: Name = "bpnet_model"
    dataloader: Dataloader
    model: ModelSpec
    optimizer: OptimizerSpec
    loss: Loss = Loss()
    mixed_precision: Wish = None
    deterministic: Bool | None = None
    jit_compile: Bool | None = None
    checkpoint_n_minutes: Positive | None = None
    early_stopping: EarlyStopping | None = None
    distillation: Distillation | None = None

    @property
    def teaching(self) -> Distillation | None:
        """How a teacher is learnt from, or None where none is."""
        told = self.distillation
        return told if told and told.enabled and told.teacher else None

    @field_validator("key", mode="before")
    @classmethod
    def _is_text(cls, key: Any) -> Any:
        if key is not None and not isinstance(key, str):
            raise SpecMisfitError(((), f"should be text, in quotes; this is a {type(key).__name__}"))
        if key == "":
            raise SpecMisfitError(((), "is empty; give one, or leave it out to write open files"))
        return key

    @field_validator("checkpoint_n_epoch")
    @classmethod
    def _within_the_training(cls, epochs: int, info: ValidationInfo) -> int:
        total = info.data.get("num_epoch", epochs)
        if epochs > total:
            raise SpecMisfitError(((), f"should be at most num_epoch, {total} (got {epochs})"))
        return epochs

    @field_validator("load_graph")
    @classmethod
    def _needs_a_graph(cls, wanted: bool, info: ValidationInfo) -> bool:
        if wanted and "pretrained_weights" in info.data and info.data["pretrained_weights"] is None:
            raise SpecMisfitError(((), "true needs pretrained_weights, the model whose graph is trained (got null)"))
        return wanted

    @field_validator("fit_width")
    @classmethod
    def _needs_weights(cls, wanted: str | None, info: ValidationInfo) -> str | None:
        if wanted and info.data.get("load_graph"):
            raise SpecMisfitError(((), "is of no use with load_graph: true, which trains the graph as it is"))
        if wanted and "pretrained_weights" in info.data and info.data["pretrained_weights"] is None:
            raise SpecMisfitError(((), f"{wanted} needs pretrained_weights, the wider network (got null)"))
        return wanted

    @field_validator("early_stopping")
    @classmethod
    def _needs_validation(cls, stopping: EarlyStopping | None, info: ValidationInfo) -> EarlyStopping | None:
        loader = info.data.get("dataloader")
        if stopping is not None and loader is not None and not loader.dataset_config.val_records_path:
            raise SpecMisfitError(((), "needs AP to go by: name val_records_path in dataloader.dataset_config"))
        return stopping

    @field_validator("distillation")
    @classmethod
    def _needs_a_teacher(cls, told: Distillation | None) -> Distillation | None:
        if told and told.enabled is True and told.teacher is None:
            raise SpecMisfitError((("teacher",), "missing; enabled: true needs a model file to learn from"))
        return told

    @field_validator("finetuning_config", mode="before")
    @classmethod
    def _no_finetuning(cls, config: Any) -> Any:
        return FinetuningConfig() if config is None else config
