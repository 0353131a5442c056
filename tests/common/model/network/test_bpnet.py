"""BpNetLite: sizes, names, outputs and regularisation as the reference has them; model files."""

import json
import zipfile

import numpy as np
import pytest

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.model_file import CARD_MEMBER, load_model, read_card, save_model
from bodyposenet.common.model.network.bpnet import build_model
from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18, make_skeleton
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.train import ModelSpec

STICK = make_skeleton("stick", ("a", "b"), ((0, 1),))
BACKBONE = [
    ("block_1a", 64, 1), ("block_1b", 64, 1), ("block_2a", 128, 2), ("block_2b", 128, 1), ("block_3a", 256, 2),
    ("block_3b", 256, 1), ("block_3c", 256, 1), ("block_3d", 256, 1), ("block_4a", 512, 2), ("block_4b", 512, 1),
    ("block_6a", 256, 1),
]  # fmt: skip


def network(skeleton=BODYPOSENET_18, *, width=0.125, **changes):
    backbone = {"width_multiplier": width} | changes.pop("backbone_attributes", {})
    return build_model(parse_spec({"backbone_attributes": backbone} | changes, ModelSpec), skeleton)


def convolutions(model):
    import keras

    return {layer.name: layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)}


@pytest.mark.parametrize(
    ("stages", "attention", "parameters"),
    [
        (1, False, 7_952_633),
        (2, False, 12_365_234),
        (3, False, 16_777_835),
        (6, False, 30_015_638),
        (3, True, 17_368_171),
    ],
)
def test_networks_have_as_many_parameters_as_taos(stages, attention, parameters):
    model = network(width=1.0, stages=stages, use_self_attention=attention)
    assert model.count_params() == parameters


def test_five_thousand_of_them_are_batch_statistics_that_no_gradient_moves():
    model = network(width=1.0, stages=3)
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == 16_772_459
    assert sum(int(np.prod(weight.shape)) for weight in model.non_trainable_weights) == 5_376


def expected_parameters(width, stages, joints, limbs):
    """Parameters counted layer by layer from the reference's tables."""

    def channels(full):
        return max(8, 8 * round(full * width / 8))

    total, before = 0, 3
    for _, full, _ in BACKBONE:
        total += 9 * before * channels(full) + 4 * channels(full)  # no bias; four numbers a channel of normalisation
        before = channels(full)
    trunk, maps = channels(128), joints + 1 + 2 * limbs
    total += (9 * before + 1) * trunk
    total += (9 * trunk + 1) * trunk * 3 + 2 * (trunk + 1) * channels(512) + (channels(512) + 1) * maps
    for _ in range(stages - 1):
        total += (49 * (trunk + maps) + 1) * trunk + 4 * (49 * trunk + 1) * trunk + 2 * (trunk + 1) * trunk
        total += (trunk + 1) * maps
    return total


@pytest.mark.parametrize("width", [0.01, 0.3, 0.77])
def test_odd_widths_keep_channels_at_multiples_of_eight(width):
    for stages, skeleton in ((1, STICK), (3, BODYPOSENET_18)):
        model = network(skeleton, width=width, stages=stages)
        assert model.count_params() == expected_parameters(width, stages, skeleton.num_joints, skeleton.num_limbs)
    outputs = {tensor._keras_history.operation.name for tensor in model.outputs}
    inner = [layer.filters for name, layer in convolutions(model).items() if name not in outputs]
    assert all(filters % 8 == 0 and filters >= 8 for filters in inner)


def test_layers_have_taos_names_with_underscores():
    names = [f"{block}_conv_1" for block, _, _ in BACKBONE] + ["channel_reduction_conv"]
    names += ["stage1_conv1", "stage1_conv2", "stage1_conv3", "stage1_paf_conv4", "stage1_cmap_conv4"]
    names += ["stage1_paf_branch_out", "stage1_heat_branch_out"]
    for stage in (2, 3):
        names += [f"stage{stage}_conv{n}" for n in range(1, 6)]
        names += [f"stage{stage}_{kind}_{layer}" for kind in ("paf", "cmap") for layer in ("conv6", "attention_conv")]
    names += ["stage2_paf_branch_out", "stage2_heat_branch_out", "paf_out", "heatmap_out"]
    model = network(stages=3, use_self_attention=True)
    assert sorted(convolutions(model)) == sorted(names)
    units = {f"{block}_{layer}" for block, _, _ in BACKBONE for layer in ("bn_1", "relu")}
    assert units <= {layer.name for layer in model.layers}


def test_one_stage_has_no_final_names():
    assert network(stages=1).output_names == ["stage1_heat_branch_out", "stage1_paf_branch_out"]


def test_all_heatmaps_come_before_all_fields_at_an_eighth_of_any_input():
    model = network(stages=3)
    assert [tensor.name for tensor in model.inputs] == ["input_1"]
    assert [tensor._keras_history.operation.name for tensor in model.outputs] == [
        "stage1_heat_branch_out", "stage2_heat_branch_out", "heatmap_out",
        "stage1_paf_branch_out", "stage2_paf_branch_out", "paf_out",
    ]  # fmt: skip
    for size in ((64, 64), (40, 88)):
        outputs = model(np.zeros((2, *size, 3), np.float32))
        grid = (size[0] // 8, size[1] // 8)
        assert [tuple(out.shape) for out in outputs] == [(2, *grid, 19)] * 3 + [(2, *grid, 38)] * 3


def test_maps_are_linear_and_later_stages_read_the_trunk_and_the_maps_before():
    model = network(STICK, stages=2)
    assert all(layer.activation.__name__ == "linear" for layer in convolutions(model).values())
    joined = model.get_layer("stage2_in").input
    assert [tensor._keras_history.operation.name for tensor in joined] == [
        "channel_reduction_conv_relu", "stage1_heat_branch_out", "stage1_paf_branch_out"
    ]  # fmt: skip


def test_attention_gates_are_tanh_for_fields_and_sigmoid_for_heatmaps():
    model = network(STICK, stages=2, use_self_attention=True)
    for kind, gate in (("paf", "tanh"), ("cmap", "sigmoid")):
        product = model.get_layer(f"stage2_{kind}_attention")
        sources = [tensor._keras_history.operation for tensor in product.input]
        assert [layer.activation.__name__ for layer in sources] == ["relu", gate]


def test_strides_lie_on_the_first_convolutions_of_blocks_two_to_four():
    layers = convolutions(network())
    assert {name for name, layer in layers.items() if layer.strides == (2, 2)} == {
        "block_2a_conv_1", "block_3a_conv_1", "block_4a_conv_1"
    }  # fmt: skip


def test_kernel_sizes_can_be_chosen_and_number_the_layers():
    layers = convolutions(network(STICK, stages=2, stage1_kernel_sizes=[3, 5], stageT_kernel_sizes=[5, 7, 9]))
    assert [layers[f"stage1_conv{n}"].kernel_size[0] for n in (1, 2)] == [3, 5]
    assert [layers[f"stage2_conv{n}"].kernel_size[0] for n in (1, 2, 3)] == [5, 7, 9]
    assert {"stage1_paf_conv3", "stage2_cmap_conv4"} <= set(layers)


@pytest.mark.parametrize(("kind", "factors"), [("l1", (0.25, None)), ("l2", (None, 0.25)), ("l1_l2", (0.25, 0.25))])
def test_regularisation_is_where_and_what_the_spec_asks_for(kind, factors):
    model = network(STICK, stages=2, regularization_type=kind, kernel_regularization_factor=0.25,
                    bias_regularization_factor=0.125)  # fmt: skip
    for layer in convolutions(model).values():
        given = layer.kernel_regularizer.get_config()
        assert (given.get("l1"), given.get("l2")) == factors
        if layer.use_bias:
            assert {value for value in layer.bias_regularizer.get_config().values()} == {0.125}


@pytest.mark.parametrize("kind", ["l1", "l2", "l1_l2"])
def test_the_penalty_is_the_sum_over_all_kernels(kind):
    model = network(STICK, stages=1, regularization_type=kind, kernel_regularization_factor=0.01,
                    bias_regularization_factor=0)  # fmt: skip
    kernels = [layer.kernel.numpy().astype(float) for layer in convolutions(model).values()]
    penalty = sum(np.abs(kernel).sum() * ("l1" in kind) + (kernel**2).sum() * ("l2" in kind) for kernel in kernels)
    assert float(sum(model.losses)) == pytest.approx(0.01 * penalty, rel=1e-4)


def test_without_factors_there_is_no_regularisation():
    assert network(STICK, kernel_regularization_factor=0, bias_regularization_factor=0).losses == []


@pytest.mark.parametrize(
    ("initializer", "spread"),
    [("random_normal", 0.01), ("xavier", np.sqrt(2 / (49 * (24 + 24)))), ("he_normal", np.sqrt(2 / (49 * 24)))],
)
def test_start_weights_of_the_stages_are_spread_as_the_initializer_says(initializer, spread):
    model = network(STICK, width=0.1875, stages=2, kernel_initializer=initializer)
    kernel = convolutions(model)["stage2_conv2"].kernel.numpy()
    assert kernel.shape == (7, 7, 24, 24)
    assert kernel.std() == pytest.approx(spread, rel=0.05)
    assert not convolutions(model)["stage2_conv2"].bias.numpy().any()


def test_biases_of_backbone_and_stages_are_set_apart():
    layers = convolutions(network(STICK, use_bias=False, backbone_attributes={"use_bias": True}))
    assert {name for name, layer in layers.items() if layer.use_bias} == {f"{block}_conv_1" for block, _, _ in BACKBONE}


# Model files

CARD = Card(skeleton=STICK, stride=8, image_scale=(255.0, 1.0, 2.0), image_offset=(0.1, 0.2, 0.3), input_size=(64, 96),
            sigma=5.5)  # fmt: skip


@pytest.mark.parametrize("name", ["model.keras", "model.tlt", "deep/er/without_suffix"])
def test_a_model_file_holds_network_and_card_whatever_its_name(tmp_path, name):
    model = network(STICK, stages=2)
    save_model(model, tmp_path / name, CARD)
    again, card = load_model(tmp_path / name)
    assert card == CARD
    picture = np.random.default_rng(0).normal(size=(1, 64, 96, 3)).astype(np.float32)
    for one, other in zip(model(picture), again(picture), strict=True):
        assert (one.numpy() == other.numpy()).all()
    assert [path.name for path in (tmp_path / name).parent.iterdir()] == [(tmp_path / name).name]


def test_a_folder_stands_for_the_model_in_it(tmp_path):
    save_model(network(STICK, stages=1), tmp_path / "model.keras", CARD)
    assert load_model(tmp_path)[1] == CARD


def test_a_card_survives_json():
    assert Card.from_dict(json.loads(json.dumps(CARD.to_dict()))) == CARD


def test_a_file_that_is_not_there_is_an_error_that_names_it(tmp_path):
    with pytest.raises(UserError, match="no model file"):
        load_model(tmp_path / "none.keras")


def test_an_encrypted_or_foreign_file_is_an_error(tmp_path):
    path = tmp_path / "nvidia.tlt"
    path.write_bytes(b"\x89HDF and so on")
    with pytest.raises(
        UserError, match="is encrypted by NVIDIA's tools, or damaged: it is neither a Keras zip nor TAO's"
    ):
        read_card(path)


def test_a_keras_file_without_a_card_is_an_error(tmp_path):
    path = tmp_path / "plain.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(UserError, match=f"no {CARD_MEMBER}"):
        load_model(path)


@pytest.mark.parametrize(
    ("member", "content"),
    [(CARD_MEMBER, b"{"), (CARD_MEMBER, b'{"skeleton": 3}'), ("config.json", b"{"), ("model.weights.h5", b"\x89HDF")],
)
def test_a_keras_file_with_a_damaged_member_is_an_error_that_names_it(tmp_path, member, content):
    whole, damaged = tmp_path / "whole.keras", tmp_path / "damaged.keras"
    save_model(network(STICK, stages=1), whole, CARD)
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(damaged, "w") as new:
        for name in old.namelist():
            new.writestr(name, content if name == member else old.read(name))
    with pytest.raises(UserError, match="this model file is damaged") as caught:
        load_model(damaged)
    assert caught.value.where == str(damaged)
