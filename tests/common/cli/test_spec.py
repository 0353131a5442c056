"""Spec verbs: what they print and write, and what they end with."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
import yaml
from click.testing import CliRunner
from support.spec_files import DATASET, INFERENCE, POSE, PRUNE, TRAIN, changed

from bodyposenet.common.cli.main import main
from bodyposenet.common.cli.spec import KIND
from bodyposenet.common.spec.kinds import KINDS


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(words, code=0):
    """What a command prints."""
    ended = CliRunner().invoke(main, ["spec", *words.split()])
    assert ended.exit_code == code, ended.output
    return ended.output


def test_the_command_line_knows_every_kind():
    assert tuple(KIND.choices) == tuple(KINDS)


def test_a_new_spec_is_printed_or_written_and_passes_the_check():
    printed = run("init infer")
    assert run("init infer -o infer.yaml") == "wrote infer.yaml\n"
    written = Path("infer.yaml").read_text()
    assert written == printed
    schema = Path(written.splitlines()[0].removeprefix("# yaml-language-server: $schema="))
    assert json.loads(schema.read_text())["title"] == "infer spec of BodyPoseNet"
    assert run("check infer.yaml").splitlines() == [
        "infer.yaml: inference spec, 256x256, adjust_network_input, 1 scale, at least 3 parts"
    ]


def test_the_command_in_a_new_spec_names_the_file():
    run("init train -o mine/first.yaml --schema train.schema.json")
    assert Path("mine/first.yaml").read_text().splitlines()[:2] == [
        "# yaml-language-server: $schema=train.schema.json",
        "# bpnet train -e mine/first.yaml -r results",
    ]


def test_a_file_that_is_there_stays_unless_it_may_go():
    Path("prune.yaml").write_text(PRUNE)
    said = run("init prune -o prune.yaml", code=2)
    assert said == "error: prune.yaml: there is a file already; take another name, or --force\n"
    assert Path("prune.yaml").read_text() == PRUNE
    run("init prune -o prune.yaml --force")
    assert Path("prune.yaml").read_text() != PRUNE


def test_schemas_are_listed_printed_and_written():
    places = dict(line.split(": ", 1) for line in run("schema").splitlines())
    assert places.keys() == KINDS.keys()
    assert run("schema prune") == Path(places["prune"]).read_text()
    run("schema -o schemas")
    assert {path.name for path in Path("schemas").iterdir()} == {f"{kind}.schema.json" for kind in KINDS}
    run("schema deploy -o one")
    assert [path.name for path in Path("one").iterdir()] == ["deploy.schema.json"]


def test_schemas_appear_together_or_not_at_all():
    Path("schemas/prune.schema.json").mkdir(parents=True)
    assert "prune.schema.json" in run("schema -o schemas", code=2)
    assert [path.name for path in Path("schemas").iterdir()] == ["prune.schema.json"]


def test_a_key_is_explained():
    assert run("explain heatmap_gaussian_sigma").splitlines()[0] == (
        "train: dataloader.label_processor_config.heatmap_gaussian_sigma"
    )


def test_a_key_that_is_not_there_ends_in_a_line():
    assert run("explain batch_sise", code=2).startswith(
        "error: batch_sise: no spec has such a key; did you mean train.dataloader.batch_size"
    )


def test_a_diff_tells_by_its_exit_code_whether_specs_differ():
    Path("one.yaml").write_text(TRAIN)
    Path("two.yaml").write_text(changed(TRAIN, ("num_epoch: 100", "num_epoch: 80")))
    assert run("diff one.yaml one.yaml") == ""
    assert run("diff one.yaml two.yaml", code=1) == "num_epoch: 100 -> 80\n"
    Path("other.yaml").write_text(INFERENCE)
    assert "two kinds of spec" in run("diff one.yaml other.yaml", code=2)
    assert "there is no such file" in run("diff one.yaml none.yaml", code=2)


def test_skeletons_are_drawn_below_one_another_and_each_once():
    Path("joints.json").write_text(POSE)
    Path("coco.json").write_text(DATASET)
    Path("train.yaml").write_text(TRAIN)
    said = run("check coco.json joints.json train.yaml --draw out/all.png --path-map /workspace/specs=.")
    assert said.endswith("wrote out/all.png\n")
    run("check coco.json --draw one.png")
    all_of_them, one = (cv2.imread(name) for name in ("out/all.png", "one.png"))
    assert (
        all_of_them.shape[0] == 2 * one.shape[0]
    )  # the dataset's person and the pose config's, which the train spec names
    assert (all_of_them[: one.shape[0], : one.shape[1]] == one).all()


def test_nothing_to_draw_and_no_place_for_it_are_told():
    Path("prune.yaml").write_text(PRUNE)
    Path("joints.json").write_text(POSE)
    assert "none of the files has a skeleton" in run("check prune.yaml --draw a.png", code=2)
    assert "let its name end with .png" in run("check joints.json --draw a.jpg", code=2)
    many = yaml.safe_load(POSE)
    names = [f"j{number}" for number in range(600)]
    many["categories"] = [{"name": "person", "keypoints": names, "num_joints": 600, "skeleton": [[1, 2]]}]
    Path("many.json").write_text(json.dumps(many))
    assert "600 joints are too many for a picture" in run("check many.json --draw a.png", code=2)
    assert not Path("a.png").exists()


def test_a_bad_file_is_told_and_nothing_is_drawn():
    Path("joints.json").write_text(POSE.replace("nose", "neck"))
    assert "named twice" in run("check joints.json --draw a.png", code=2)
    assert not Path("a.png").exists()


def test_no_spec_verb_loads_a_heavy_library():
    code = (
        "import sys\nfrom bodyposenet.common.cli.main import main\n"
        "for words in ('init train', 'schema train', 'explain num_epoch'):\n"
        "    main(['spec', *words.split()], standalone_mode=False)\n"
        "heavy = {'tensorflow', 'keras', 'mlflow', 'kfp', 'onnxruntime', 'cv2', 'numba'} & sys.modules.keys()\n"
        "print('heavy:', sorted(heavy))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1] == "heavy: []"
