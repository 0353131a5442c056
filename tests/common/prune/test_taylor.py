"""The Taylor criterion, against the loss of networks whose filters are really weakened; and `bpnet prune`'s choices."""

import json

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from support.drawn_records import convert_drawn, records_of
from support.networks import BACKBONES, STICK, network, pictures, seeded
from support.tiny_training import tiny_spec

from bodyposenet.common.cli.main import main
from bodyposenet.common.data.loading.batches import TrainingBatch
from bodyposenet.common.data.synthetic.dataset import make_scene
from bodyposenet.common.model.channels.tracing import read_graph
from bodyposenet.common.model.files.model_file import load_model, save_model
from bodyposenet.common.model.network.losses import pose_loss
from bodyposenet.common.prune.prune import prune_file, prune_model
from bodyposenet.common.prune.taylor import TrainingData, taylor
from bodyposenet.common.prune.thresholds import weigh
from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18
from bodyposenet.common.spec.prune import PruneSpec
from bodyposenet.common.spec.train import Loss

SHORT = {"stages": 2, "stage1_kernel_sizes": [3], "stageT_kernel_sizes": [3]}
FINE = {"pruning_granularity": 1, "min_num_filters": 1}


@pytest.fixture(scope="module", params=["vgg", "mobilenet_v2"])
def model(request):
    backbone = {} if request.param == "vgg" else {"architecture": request.param}
    return seeded(network(STICK, **SHORT, use_bias=True, backbone_attributes=backbone), 3)


def batches(count=2):
    random = np.random.default_rng(5)
    return tuple(
        TrainingBatch(
            pictures(2, seed=number),
            random.uniform(0, 1, (2, 8, 8, 3)).astype(np.float32),
            random.uniform(-1, 1, (2, 8, 8, 2)).astype(np.float32),
            np.ones((2, 8, 8, 1), np.float32),
            np.arange(2),
        )
        for number in range(count)
    )


def weakened(model, layer, number, factor):
    """Change one filter's weights and bias by a factor; returns what undoes it."""
    before = layer.get_weights()
    after = [weight.copy() for weight in before]
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    for weight in after:
        (weight[..., number, :] if depthwise and weight.ndim == 4 else weight[..., number])[...] *= factor
    layer.set_weights(after)
    return lambda: layer.set_weights(before)


def slopes_of_gates(model, layer, batch):
    """How the loss changes with a factor on all weights of each filter, at 1."""
    import tensorflow as tf

    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    gate = tf.ones(layer.kernel.shape[-2 if depthwise else -1])
    with tf.GradientTape() as tape:
        tape.watch(gate)
        own = {id(layer.kernel): gate[:, None] if depthwise else gate, id(layer.bias): gate}
        weights = [tf.convert_to_tensor(v) * own.get(id(v), 1.0) for v in model.trainable_variables]
        made, _ = model.stateless_call(weights, model.non_trainable_variables, batch.images, training=False)
        loss = pose_loss(made, *batch[1:4], Loss()).total
    return np.asarray(tape.gradient(loss, gate))


def test_a_filter_scores_what_the_loss_changes_when_it_is_weakened(model):
    data = TrainingData(batches())
    votes = taylor(model, data)(read_graph(model))
    names = [name for name in votes if name.endswith(("conv_1", "conv1", "depthwise"))]
    for name in names[:: 1 + len(names) // 8]:
        slopes = [slopes_of_gates(model, model.get_layer(name), batch) for batch in data.batches]
        expected = np.sqrt(np.mean(np.square(slopes), axis=0))
        np.testing.assert_allclose(votes[name], expected, rtol=2e-3, atol=1e-4 * expected.max(), err_msg=name)


def test_what_the_loss_does_not_need_goes_first(model):
    layer = model.get_layer("stage1_conv1")
    undo = weakened(model, layer, 2, 1e-4)
    pruned = prune_model(
        model, PruneSpec(pruning_threshold=1e-3, **FINE), criterion=taylor(model, TrainingData(batches()))
    )
    undo()
    assert 2 not in pruned.filters["stage1_conv1"]


# --- on the command line


@pytest.fixture
def file(model, tmp_path):
    return_to = tmp_path / "model.keras"
    save_model(model, return_to, Card(STICK, input_size=(64, 96)))
    return return_to


def bpnet(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def test_a_dry_run_tells_what_pruning_would_leave_and_writes_nothing(file):
    flags = ("-pg", 1, "-nf", 1)
    result = bpnet("prune", "-m", file, "--dry-run", "-pth", 0.5, *flags)
    assert result.exit_code == 0, result.output
    assert [path.name for path in file.parent.iterdir()] == ["model.keras"]
    figures, layers = (part.splitlines() for part in result.stdout.strip().split("\n\n"))
    assert "GFLOPs at 64x96" in figures[0]
    rows = [line.split() for line in figures[1:]]
    params = [int(row[1].replace(",", "")) for row in rows]
    assert params == sorted(params, reverse=True)
    assert len(rows) > 5
    marked = next(row for row in rows if row[-1] == "<")
    out = file.with_name("pruned.keras")
    done = prune_file(file, out, PruneSpec(pruning_threshold=0.5, **FINE))
    assert (marked[0], int(marked[1].replace(",", ""))) == ("0.5", done.params_after)
    assert float(marked[3]) == pytest.approx(done.gflops_after, abs=6e-4)
    assert float(marked[5]) == pytest.approx(out.stat().st_size / 1e6, abs=0.03)
    whole = {line.split()[0]: int(line.split()[1]) for line in layers[1:]}
    assert whole == {name: of for name, (_, of) in done.layers.items()}


def test_a_target_is_met_on_the_command_line(file):
    out = file.with_name("pruned.keras")
    result = bpnet("prune", "-m", file, "-o", out, "--target-flops", 0.4, "-pg", 1, "-nf", 1, "--input_size", "64,64")
    assert result.exit_code == 0, result.output
    assert "threshold 0." in result.output
    kept = prune_file(file, file.with_name("again.keras"), PruneSpec(target_flops=0.4, **FINE), size=(64, 64))
    assert load_model(out)[0].count_params() == kept.params_after
    assert 0.37 < kept.gflops_after / kept.gflops_before <= 0.4


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ((), "no output file"),
        (("-o", "out.keras", "--target_flops", 0.3, "--target_params", 0.3), "target_params or target_flops, not both"),
        (("-o", "out.keras", "--target_flops", 1.5), "target_flops"),
        (("-o", "out.keras", "--target_flops", 1e-6), "no threshold leaves as little as 1e-06 of it; the least is 0."),
        (("-o", "out.keras", "--criterion", "taylor"), "give a train spec: -e FILE"),
        (("-o", "out.keras", "-n", "cost"), "cost needs a target: give target_flops or target_params"),
        (("-o", "out.keras", "--refit"), "give a train spec: -e FILE"),
        (("-o", "out.keras", "-el", "stage9_*"), "no layer 'stage9_*'"),
        (("--dry-run", "--input_size", "64"), "HEIGHT,WIDTH"),
    ],
)
def test_what_cannot_be_done_is_told_before_anything_is_written(file, flags, problem):
    result = bpnet("prune", "-m", file, *(str(file.with_name(f)) if f == "out.keras" else f for f in flags))
    assert result.exit_code == 2
    assert problem in " ".join(result.output.split())
    assert not file.with_name("out.keras").exists()


def test_of_filters_that_matter_alike_those_go_first_that_cost_most(model):
    def alike(graph):
        return {path: np.ones(layer.kernel.shape[-1]) for path, layer in graph.producers.items()}

    settings = PruneSpec(target_flops=0.5, normalizer="cost", **FINE)
    weighed = weigh(model, settings, alike, whole=(), size=(64, 64))
    whole, cost = weighed.cut(0.0), {}
    for group in (group for group in weighed.groups if group.scores is not None):
        one_less = {path: np.arange(group.depth - 1) for path in group.paths}
        cost[group.paths] = whole.flops - weighed.sizes.count_flops(whole.filters | one_less)
        np.testing.assert_allclose(group.scores, 1 / np.sqrt(cost[group.paths]), rtol=1e-6)
    dearest = max(cost, key=cost.get)
    done = prune_model(model, settings, criterion=alike, size=(64, 64))
    assert len(done.filters[dearest[0]]) == 1


def test_refitting_on_the_command_line_brings_the_maps_nearer(tmp_path):
    keras.utils.set_random_seed(4)
    model = network(
        BODYPOSENET_18, **SHORT, use_bias=True, kernel_initializer="he_normal", backbone_attributes=BACKBONES["helnet"]
    )
    save_model(model, tmp_path / "model.keras", Card(BODYPOSENET_18, input_size=(64, 64)))
    convert_drawn(tmp_path)
    loader = {"dataset_config": records_of(tmp_path), "batch_size": 2}
    spec = tiny_spec(dataloader=loader).model_dump(mode="json", by_alias=True)
    (tmp_path / "train.yaml").write_text(json.dumps(spec), encoding="utf-8")
    scenes = [make_scene((8, 1), number, (64, 64)).image for number in range(4)]
    seen = np.stack(scenes).astype(np.float32) / 256 - 0.5
    wanted = draw(model, seen)
    far = []
    for flags in ((), ("--refit",)):
        out = tmp_path / f"pruned{len(flags)}.keras"
        words = ("-m", tmp_path / "model.keras", "-o", out, "--target_flops", 0.5, "-nf", 4, "-pg", 2)
        result = bpnet("prune", *words, "-e", tmp_path / "train.yaml", *flags)
        assert result.exit_code == 0, result.output
        far.append(np.square(draw(load_model(out)[0], seen) - wanted).sum())
    assert far[1] < 0.7 * far[0]


def draw(model, seen):
    return np.concatenate([np.asarray(each).ravel() for each in model(seen, training=False)])
