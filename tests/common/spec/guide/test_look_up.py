"""Look-up: keys are found by what people remember of them, and all that is known is said."""

import pytest

from bodyposenet.common.errors import UserError
from bodyposenet.common.spec.guide.keys import list_keys
from bodyposenet.common.spec.guide.look_up import describe_keys, find_keys
from bodyposenet.common.spec.kinds import KINDS


def explain(text):
    return "\n".join(describe_keys(find_keys(text)))


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_is_explained_under_its_whole_name(kind):
    for key in list_keys(kind):
        said = explain(f"{kind}.{key.name}")
        assert f"{kind}: {key.name}" in said
        for title in ("type", "default", "effect", "TAO"):
            assert f"\n  {title:<8} " in said
        if key.told.unit:
            assert f"\n  unit     {key.told.unit}" in said


def test_a_key_is_explained_with_unit_bounds_and_default():
    assert explain("dataloader.pose_config.target_shape") == explain("target_shape")
    assert explain("target_shape").splitlines() == [
        "train: dataloader.pose_config.target_shape",
        "  in       PoseConfigRef",
        "  type     list of 2, each whole number",
        "  unit     cells",
        "  bounds   at least 1",
        "  default  [32, 32]",
        "  effect   (height, width) of the labels: the network input's, divided by 8.",
        "  TAO      does the same",
    ]


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("heatmap_threshold", "ignores it, and uses 0.1."),
        ("early_stopping.patience", "has no such key"),
        ("target_flops", "has no such file: what it knows of these keys are flags of its prune"),
        ("batch_size", "does the same"),
        ("color_aug_params", "takes none."),
    ],
)
def test_what_tao_does_is_said(key, said):
    assert explain(key).endswith(f"  TAO      {said}")


def test_a_key_that_classes_have_in_common_is_explained_for_each():
    said = explain("optimizer.learning_rate_schedule.min_learning_rate")
    assert said.count("train: optimizer.learning_rate_schedule.min_learning_rate") == 2
    assert "The first and the last learning rate." in said
    assert "The least learning rate." in said


def test_numbers_of_items_are_passed_over():
    assert explain("pose.categories.0.num_joints") == explain("pose.categories.num_joints")


def test_a_key_of_many_places_is_told_with_all_of_them():
    with pytest.raises(UserError) as caught:
        find_keys("use_bias")
    assert str(caught.value) == (
        "use_bias: several keys end so; did you mean train.model.backbone_attributes.use_bias, train.model.use_bias?"
    )
    assert len(find_keys("model.use_bias")) == 1


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("batch_sise", "train.dataloader.batch_size"),
        ("dataloader.batchsize", "train.dataloader.batch_size"),
        ("trainer.num_epoch", "train.num_epoch"),
        ("heatmap_treshold", "infer.heatmap_threshold"),
    ],
)
def test_a_key_that_is_not_there_is_told_with_near_ones(text, near):
    with pytest.raises(UserError, match=rf"{text}: no spec has such a key; did you mean {near}"):
        find_keys(text)


@pytest.mark.parametrize("text", ["", ".", "0", "zzzz", "\N{SNOWMAN}"])
def test_nothing_like_a_key_gets_a_way_to_all_of_them(text):
    with pytest.raises(UserError, match="bpnet spec init KIND writes all keys"):
        find_keys(text)
