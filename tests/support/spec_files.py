"""Spec files with TAO's keys, as its users write them: what the spec tests read and break."""

import json

TRAIN = """\
__class_name__: BpNetTrainer
checkpoint_dir: /workspace/results/first
log_every_n_secs: 30
checkpoint_n_epoch: 5
num_epoch: 100
summary_every_n_steps: 20
infrequent_summary_every_n_steps: 0
validation_every_n_epoch: 5
max_ckpt_to_keep: 100
random_seed: 42
pretrained_weights: null
load_graph: False
finetuning_config:
  is_finetune_exp: False
  checkpoint_path: null
  ckpt_epoch_num: 0
use_stagewise_lr_multipliers: True
dataloader:
  __class_name__: BpNetDataloader
  batch_size: 10
  shuffle_buffer_size: 20000
  image_config:
    image_dims:
      height: 224
      width: 320
      channels: 3
    image_encoding: jpg
  pose_config:
    __class_name__: BpNetPoseConfig
    target_shape: [28, 40]
    pose_config_path: /workspace/specs/joints.json
  dataset_config:
    root_data_path: /workspace/data/
    train_records_folder_path: /workspace/data
    train_records_path: [train-fold-000-of-001]
    val_records_folder_path: /workspace/data
    val_records_path: [val-fold-000-of-001]
    dataset_specs:
      coco: /workspace/specs/coco.json
  normalization_params:
    image_scale: [256.0, 256.0, 256.0]
    image_offset: [0.5, 0.5, 0.5]
    mask_scale: [255.0]
    mask_offset: [0.0]
  augmentation_config:
    __class_name__: AugmentationConfig
    spatial_augmentation_mode: person_centric
    spatial_aug_params:
      flip_lr_prob: 0.5
      rotate_deg_max: 40.0
      rotate_deg_min: -30.0
      translate_max_x: 40.0
      target_person_scale: 0.6
    identity_spatial_aug_params: null
  label_processor_config:
    paf_gaussian_sigma: 0.03
    heatmap_gaussian_sigma: 7.0
    paf_ortho_dist_thresh: 1.0
model:
  __class_name__: BpNetLiteModel
  backbone_attributes:
    architecture: vgg
    mtype: default
    use_bias: False
  stages: 3
  heat_channels: 19
  paf_channels: 38
  regularization_type: l1
  kernel_regularization_factor: 5.0e-4
  bias_regularization_factor: 0.0
optimizer:
  __class_name__: WeightedMomentumOptimizer
  learning_rate_schedule:
    __class_name__: SoftstartAnnealingLearningRateSchedule
    soft_start: 0.05
    annealing: 0.5
    base_learning_rate: 2.e-5
    min_learning_rate: 8.e-08
    last_step: null
  grad_weights_dict: null
  momentum: 0.9
loss:
  __class_name__: BpNetLoss
"""

INFERENCE = """\
model_path: /workspace/results/first/bpnet_model.tlt
train_spec: /workspace/specs/train.yaml
input_shape: [288, 384]
# choose from: {pad_image_input, adjust_network_input, None}
keep_aspect_ratio_mode: pad_image_input
output_stage_to_use: null
output_upsampling_factor: [8, 8]
heatmap_threshold: 0.1
paf_threshold: 0.05
multi_scale_inference: False
scales: null
"""

PRUNE = "pruning_threshold: 0.2\nnormalizer: L2\nexcluded_layers: [stage1_conv1]\n"

STICK = {
    "supercategory": "person",
    "id": 1,
    "name": "person",
    "num_joints": 4,
    "keypoints": ["left_shoulder", "right_shoulder", "nose", "neck"],
    "skeleton": [[4, 1], [4, 2], [4, 3]],
    "skeleton_edge_names": [["neck", "left_shoulder"], ["neck", "right_shoulder"], ["neck", "nose"]],
}

POSE = json.dumps({"pose_config_type": "stick", "categories": [STICK]}, indent=2)

DATASET = json.dumps(
    {
        "dataset": "coco",
        "root_directory_path": "/workspace/data",
        "train_data": {
            "images_root_dir_path": "train2017",
            "mask_root_dir_path": "train_mask2017",
            "annotation_root_dir_path": "annotations/person_keypoints_train2017.json",
        },
        "test_data": {
            "images_root_dir_path": "val2017",
            "mask_root_dir_path": "val_mask2017",
            "annotation_root_dir_path": "annotations/person_keypoints_val2017.json",
        },
        "duplicate_data_with_each_person_as_center": True,
        "categories": [STICK],
        "visibility_flags": {
            "value": {"visible": 2, "occluded": 1, "not_labeled": 0},
            "mapping": {"visible": "visible", "occluded": "occluded", "not_labeled": "not_labeled"},
        },
        "data_filtering_params": {
            "min_acceptable_height": 32,
            "min_acceptable_width": 32,
            "min_acceptable_kpts": 5,
            "min_acceptable_interperson_dist_ratio": 0.3,
        },
    },
    indent=2,
)

FILES = {
    "train.yaml": TRAIN,
    "infer.yaml": INFERENCE,
    "prune.yaml": PRUNE,
    "joints.json": POSE,
    "coco.json": DATASET,
}


def changed(text, *swaps):
    """``text`` with each ``(old, new)`` swapped; a swap that finds nothing is a mistake in the test."""
    for old, new in swaps:
        if old not in text:
            raise LookupError(f"{old!r} is not in the text")
        text = text.replace(old, new, 1)
    return text
