"""Command line: TAO's verbs and flags parse, and what goes wrong ends with the right code and words."""

import errno
import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from support.spec_files import DATASET, FILES, INFERENCE, TRAIN, changed

from bodyposenet import __version__
from bodyposenet.common.cli.calibration import ExportFlags
from bodyposenet.common.cli.devices import Devices
from bodyposenet.common.cli.export import engine_command, output_path
from bodyposenet.common.cli.launcher import RemainsError, Verb, results_dir
from bodyposenet.common.cli.main import main
from bodyposenet.common.cli.options import input_size
from bodyposenet.common.cli.verb_group import Verbs
from bodyposenet.common.errors import UserError

VERBS = ("dataset_convert", "dataset_join", "synthesize", "train", "evaluate", "inference", "prune", "export",
         "build_engine")  # fmt: skip
HEAVY = ("tensorflow", "keras", "mlflow", "numba", "onnx", "onnxruntime", "kfp", "cv2", "numpy", "pydantic", "yaml")


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """Makes a driver that lists the GPUs named."""

    def lists(*gpus):
        tool = tmp_path / "nvidia-smi"
        tool.write_text("#!/bin/sh\n" + "".join(f"echo 'GPU {number}: {name}'\n" for number, name in enumerate(gpus)))
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    return lists


def run(*args, verbs=main):
    return CliRunner().invoke(verbs, [str(arg) for arg in args], catch_exceptions=False)


def parsed(verb, *args):
    """The values that a verb's flags come to."""
    with main.make_context("bpnet", [verb]) as root:
        return main.commands[verb].make_context(verb, list(args), parent=root).params


def failing(error, folder=None):
    """Verbs of which one, ``fail``, raises ``error``."""

    @click.group(cls=Verbs)
    @click.pass_context
    def verbs(ctx, /, **launch):
        ctx.obj = launch

    @verbs.command("fail", cls=Verb)
    def fail():
        if folder is not None:
            results_dir(None, folder)
        click.echo("half done")
        raise error

    return verbs


def test_the_command_line_starts_without_anything_heavy():
    script = "import sys; from bodyposenet.common.cli.main import main;"
    script += "print(*[m for m in sys.argv[1:] if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script, *HEAVY], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_with_an_example(verb):
    text = run(verb, "--help").stdout
    assert f"bpnet {verb} -" in text.split("Example:")[1]
    assert all(flag in text for flag in ("-r, --results_dir", "-l, -ll, --log_level", "--gpus", "--log_file"))


def test_the_version_is_the_package_s():
    assert run("--version").stdout == f"bpnet, version {__version__}\n"


def test_verbs_and_flags_may_be_spelled_with_dashes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("dataset-convert", "--dataset-spec", "none.json", "--output-filename", "x")
    assert result.exit_code == 2
    assert "none.json: there is no such file" in result.stderr


def test_a_misspelled_verb_ends_with_2_and_the_near_one():
    result = run("trian")
    assert result.exit_code == 2
    assert "train" in result.stderr.split("trian")[1]


def test_prune_takes_tao_s_short_flags_of_several_letters():
    flags = ["-eq", "intersection", "-pth", "0.25", "-n", "L2", "-pg", "4", "-nf", "32", "-el", "one", "two"]
    params = parsed("prune", "-m", "a.tlt", "-o", "b.tlt", *flags, "-k", "key", "-ll", "DEBUG")
    assert (params["equalization_criterion"], params["pruning_threshold"]) == ("intersection", 0.25)
    assert (params["normalizer"], params["pruning_granularity"], params["min_num_filters"]) == ("L2", 4, 32)
    assert (params["excluded_layers"], params["key"], params["log_level"]) == (("one", "two"), "key", "DEBUG")


@pytest.mark.parametrize(
    ("args", "layers"),
    [
        (["-el", "a", "b", "c", "-nf", "8"], ("a", "b", "c")),
        (["-el", "-nf", "8"], ()),
        (["--excluded_layers", "a", "-pg", "4", "-el", "b"], ("a", "b")),
        (["--excluded-layers", "a", "b"], ("a", "b")),
        (["--excluded_layers=a"], ("a",)),
        ([], ()),
    ],
)
def test_excluded_layers_takes_all_words_up_to_the_next_flag(args, layers):
    assert parsed("prune", "-m", "a", "-o", "b", *args)["excluded_layers"] == layers


def test_defaults_are_tao_s():
    params = parsed("prune", "-m", "a", "-o", "b")
    assert (params["normalizer"], params["equalization_criterion"], params["pruning_threshold"]) == (
        "max",
        "union",
        0.1,
    )
    assert (params["pruning_granularity"], params["min_num_filters"]) == (8, 16)
    params = parsed("export", "-m", "a")
    assert (params["input_dims"], params["data_type"], params["batches"], params["batch_size"]) == (
        (256, 256, 3),
        "fp32",
        10,
        1,
    )
    assert (params["max_workspace_size"], params["static_batch_size"], params["upsample_ratio"]) == (2 * 2**30, -1, 4)


def test_export_takes_the_whole_command_of_a_tao_script():
    command = (
        "-m bpnet_model.tlt -o bpnet_model.etlt -k KEY -d 288,384,3 -e retrain.yaml -t tfonnx --data_type int8 "
        "--cal_image_dir data/train2017/ --cal_cache_file calibration.bin --cal_data_file coco.tensorfile "
        "--batch_size 1 --batches 5000 --max_batch_size 1 --data_format channels_last --engine_file m.engine "
        "--sdk_compatible_model -s --max_workspace_size 1000 --force_ptq --verbose -u 4 -i channels_last "
        "--opt_batch_size 2 --static_batch_size -1"
    )
    params = parsed("export", *command.split())
    assert (params["backend"], params["input_dims"], params["batches"]) == ("tfonnx", (288, 384, 3), 5000)


@pytest.mark.parametrize(
    "args",
    [
        ["--gpus", "2", "train", "-e", "x.yaml"],
        ["train", "--gpus", "2", "-e", "x.yaml"],
        ["--gpus", "1", "train", "--gpus", "2", "-e", "x.yaml"],
        ["--gpus", "2", "train", "-np", "2", "-e", "x.yaml"],
    ],
)
def test_device_flags_stand_before_or_after_the_verb(args, driver):
    driver("A")
    result = run(*args)
    assert result.exit_code == 2
    assert "--gpus: 2 GPUs are asked for, and the driver lists 1; use --gpus 1" in result.stderr


def test_gpus_are_named_before_the_verb_too(driver):
    driver("A")
    result = run("--gpus", "2", "--gpu_index", "0", "1", "train", "-np", "2", "-e", "x.yaml")
    assert "--gpu_index: no such GPU (got 0 1); there are 1" in result.stderr


@pytest.mark.parametrize(
    ("devices", "verb", "problem"),
    [
        (Devices(gpus=0), "train", "at least one device"),
        (Devices(gpus=2), "prune", "prune runs on one GPU"),
        (Devices(index=(0, 1)), "train", "2 GPUs are named for 1"),
        (Devices(gpus=2, index=(1, 1)), "train", "named once"),
        (Devices(index=(-1,)), "train", "numbered from 0"),
        (Devices(processes=2), "train", "need more than one GPU"),
        (Devices(processes=0), "train", "at least one is needed"),
        (Devices(use_amp=True), "evaluate", "only train"),
        (Devices(gpus=2, processes=3), "train", "3 processes for 2 GPUs"),
        (Devices(multi_node=True), "train", "neither TF_CONFIG nor BODYPOSENET_WORKERS"),
        (Devices(multi_node=True), "prune", "prune runs on one machine"),
    ],
)
def test_devices_that_contradict_each_other_are_refused(devices, verb, problem, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match=problem):
        devices.take(verb)


def test_a_gpu_that_the_driver_does_not_list_is_refused_and_one_that_it_lists_is_taken(driver, monkeypatch):
    driver("A", "B")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(UserError, match=r"no such GPU \(got 2\); there are 2"):
        Devices(index=(2,)).take("train")
    Devices(index=(1,)).take("train")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"
    Devices(gpus=2, index=(1, 0), processes=2).take("train")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1,0"


def test_several_machines_are_what_tf_config_says(monkeypatch):
    workers = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(workers))
    Devices(multi_node=True).take("train")
    result = run("train", "-e", "x.yaml", "-np", "3", "--multi-node")
    assert "3 processes need more than one GPU" in result.stderr


def test_a_wrong_spec_ends_with_2_one_message_and_tao_s_status(tmp_path):
    spec = tmp_path / "train.yaml"
    spec.write_text(changed(TRAIN, ("batch_size: 10", "batch_sise: 10")))
    result = run("train", "-e", spec, "-r", tmp_path)
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        f"{spec}:18: dataloader.batch_size: missing; this key must be given",
        f"{spec}:20: dataloader.batch_sise: unknown key; did you mean 'batch_size'?",
        "Execution status: FAIL",
    ]


def test_train_needs_a_results_folder_from_somewhere(tmp_path):
    spec = tmp_path / "train.yaml"
    spec.write_text(changed(TRAIN, ("checkpoint_dir: /workspace/results/first", "checkpoint_dir: null")))
    result = run("train", "-e", spec, "-k", "secret")
    assert result.exit_code == 2
    assert "no results folder; give -r, or checkpoint_dir in the spec" in result.stderr
    assert "secret" not in result.stderr


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UserError("it is red", where="box 3", fix="paint it"), 2, "error: box 3: it is red; paint it"),
        (RemainsError("no GPU", fix="go there"), 3, "error: no GPU; go there"),
        (OSError(errno.ENOSPC, "No space left", "/big"), 2, "error: /big: the disk is full; free some space"),
        (PermissionError(errno.EACCES, "Permission denied", "/root/x"), 2, "error: /root/x: permission denied"),
        (FileExistsError(errno.EEXIST, "File exists", "/notes"), 2, "error: /notes: this is a file, not a folder"),
        (
            OSError(errno.ELOOP, "Too many links", "/a"),
            2,
            "error: /a: this is a link where a file is to be, or leads",
        ),
        (OSError(errno.EMFILE, "Too many", "/a\nb"), 2, "error: /a\\nb: too many files are open; raise the limit"),
        (ModuleNotFoundError("x", name="tf2onnx.convert"), 2, "pip install 'bodyposenet[deploy]'"),
        (MemoryError(), 2, "error: the memory is used up"),
        (ImportError("lib.so: failed to map segment from shared object"), 2, "error: the memory is used up"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_what_a_user_can_mend_is_told_without_a_traceback(tmp_path, error, code, said):
    result = run("fail", verbs=failing(error, tmp_path))
    assert result.exit_code == code
    assert result.stdout == "half done\n"
    message, status = result.stderr.splitlines()
    assert said in message
    assert status == "Execution status: FAIL"
    (line,) = (tmp_path / "status.json").read_text().splitlines()
    assert json.loads(line)["status"] == "FAILURE"


CLOSED = "exec >&- 2>&- <&-; exec {command}"  # as some supervisors start what they run
GONE = "mkdir gone; cd gone; rmdir ../gone; {command}"


@pytest.mark.parametrize(
    ("line", "words", "code"),
    [
        (CLOSED, "synthesize -o drawn --train 1 --val 1 --size 60,80 --log_file log.txt", 0),
        ("{command} 2> /dev/full", "synthesize -o drawn --train 1 --val 1 --size 60,80", 0),
        ("{command} > /dev/full", "spec schema train", 2),
        (GONE, "clean", 2),
        ("mkfifo pipe; {command}", "synthesize -o drawn --log_file pipe", 2),
        ("{command}", "synthesize -o drawn --train 1 --val 1 --size 60,80 --log_file /dev/full", 2),
        ("{command} < /dev/null", "bundle -m net.onnx --for triton -o out --key_file -", 2),
    ],
)
def test_streams_and_folders_that_are_not_there_end_well_or_in_a_line(tmp_path, line, words, code):
    command = f"{sys.executable} -m bodyposenet {words}"
    done = subprocess.run(
        ["bash", "-c", line.format(command=command)], cwd=tmp_path, capture_output=True, text=True, timeout=60,
        env={**os.environ, "MLFLOW_TRACKING_URI": ""},
    )  # fmt: skip
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    for made in (*tmp_path.rglob("drawn/**/*.jp*g"), *tmp_path.rglob("drawn/**/*.json")):
        assert made.read_bytes()[:1] in (b"\xff", b"{")  # nothing that was printed has come into a file


NEEDY = ("synthesize -o {0}", "clean {0}", "adopt {0} -o a.keras", "synthesize --train {0}", "spec check a {0}", "{0}",
         "--gpus {0} doctor", "synthesize -o out {0}")  # fmt: skip


@pytest.mark.parametrize("words", NEEDY)
def test_an_address_in_the_place_of_an_argument_is_told_without_its_secrets(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for address in ("https://me:SECRET@127.0.0.1:1/x", "https://127.0.0.1:1/x?sig=SECRET", "ftp:/me:SECRET@h/x\x1b[2J"):
        done = run(*words.format(address).split())
        assert done.exit_code == 2
        assert "SECRET" not in done.output
        assert "\x1b" not in done.output


def test_a_name_makes_no_line_of_its_own_in_a_log_or_a_message_about_specs(tmp_path, monkeypatch):
    name = "a\n12:00:00 ERROR forged"
    monkeypatch.chdir(tmp_path)

    @click.group(cls=Verbs)
    @click.pass_context
    def verbs(ctx, /, **launch):
        ctx.obj = launch

    @verbs.command("log", cls=Verb)
    def log():
        logging.getLogger("bodyposenet.log").warning("%s: %d of %.1f, and %s", name, np.int64(3), 2, Path(name))
        logging.getLogger("bodyposenet.log").info("%s", "one\nother")  # a page of our own

    first, *more = run("log", verbs=verbs).stderr.splitlines()
    assert first.count("forged") == 2
    assert ": 3 of 2.0, and a" in first
    assert [line.rpartition(" ")[2] for line in more] == ["one", "other", "PASS"]
    (tmp_path / "keys.yaml").write_text('"x\\nerror: forged": 1\n"x\\nerror: forged": 2\n')
    for file in (name, "keys.yaml"):
        assert len(run("spec", "check", file).stderr.splitlines()) == 1


def test_a_bug_keeps_its_traceback_and_ends_with_1(tmp_path):
    result = run("fail", verbs=failing(ZeroDivisionError("by nought"), tmp_path))
    assert result.exit_code == 1
    assert result.stderr.startswith("Traceback (most recent call last):")
    assert result.stderr.splitlines()[-2:] == ["ZeroDivisionError: by nought", "Execution status: FAIL"]
    assert json.loads((tmp_path / "status.json").read_text())["message"] == "ZeroDivisionError: by nought"


@pytest.mark.parametrize("before", [True, False])
def test_a_log_file_gets_stdout_and_stderr_after_what_it_had(tmp_path, before):
    log = tmp_path / "logs" / "run.txt"
    log.parent.mkdir()
    log.write_text("earlier\n")
    flag = ["--log_file", str(log)]
    result = run(*(flag if before else []), "fail", *([] if before else flag), verbs=failing(UserError("it is red")))
    assert log.read_text().splitlines() == ["earlier", "half done", "error: it is red", "Execution status: FAIL"]
    assert (result.stdout, result.stderr.splitlines()[0]) == ("half done\n", "error: it is red")


def test_spec_check_says_what_each_file_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    result = run("spec", "check", *FILES)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "train.yaml: train spec, 3 stages, 224x320, batch 10, 100 epochs, WeightedMomentumOptimizer",
        "train.yaml: note: paf_gaussian_sigma has no effect, as in TAO: the part affinity field is a band "
        "with hard edges",
        "train.yaml: note: shuffle_buffer_size has no effect: every epoch shuffles all samples",
        "infer.yaml: inference spec, 288x384, pad_image_input, 1 scale, at least 3 parts",
        "infer.yaml: note: output_upsampling_factor has no effect: decoding is sub-cell on the network's own grid",
        "prune.yaml: prune spec, threshold 0.2, L2, union, multiples of 8, at least 16",
        "joints.json: pose config, stick, 4 joints, 3 limbs",
        "coco.json: dataset spec, 'coco', 4 joints, in /workspace/data",
    ]


def test_train_and_evaluate_log_which_keys_have_no_effect(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    trained = run("train", "-e", tmp_path / "train.yaml")
    assert "paf_gaussian_sigma has no effect, as in TAO" in trained.stderr
    found = run("evaluate", "-i", tmp_path / "infer.yaml", "-d", tmp_path / "coco.json", "-m", tmp_path / "none.keras")
    assert f"INFO {tmp_path}/infer.yaml: output_upsampling_factor has no effect" in found.stderr


def test_spec_check_tells_every_problem_of_every_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "infer.yaml").write_text(changed(INFERENCE, ("paf_threshold: 0.05", "paf_threshold: 5")))
    (tmp_path / "coco.json").write_text(changed(DATASET, ('"dataset"', '"datset"')))
    (tmp_path / "good.yaml").write_text(FILES["prune.yaml"])
    result = run("spec", "check", "infer.yaml", "coco.json", "good.yaml", "none.yaml")
    assert result.exit_code == 2
    assert result.stdout.startswith("good.yaml: prune spec")
    assert result.stderr.splitlines() == [
        "infer.yaml:9: paf_threshold: should be less than or equal to 1 (got 5)",
        "coco.json:1: dataset: missing; this key must be given",
        "coco.json:2: datset: unknown key; did you mean 'dataset'?",
        "none.yaml: there is no such file",
    ]


def test_shards_go_beside_a_folder_of_their_name_and_that_is_told(tmp_path):
    (tmp_path / "coco.json").write_text(DATASET)
    (tmp_path / "data").mkdir()
    result = run("dataset_convert", "-d", tmp_path / "coco.json", "-o", f"{tmp_path}/data/")
    assert f"the shards are written beside it, as {tmp_path}/data-fold-" in result.stderr
    result = run("dataset_convert", "-d", tmp_path / "coco.json", "-o", ".")
    assert result.exit_code == 2
    assert "names no shards" in result.stderr


def test_a_results_folder_that_cannot_be_made_is_told(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    result = run("dataset_convert", "-d", tmp_path / "coco.json", "-o", "out/train")
    assert result.exit_code == 2
    assert "error: out: there is no such file or folder; check the path" in result.stderr


@pytest.mark.parametrize("text", ["/workspace", "/workspace=", "workspace=/data"])
def test_a_path_map_that_maps_nothing_is_refused(tmp_path, text):
    result = run("spec", "check", "x.yaml", "--path-map", text)
    assert result.exit_code == 2
    assert "is not OLD=NEW with an absolute OLD" in result.stderr


def test_a_drawn_set_is_converted_with_the_paths_of_another_machine_mapped(tmp_path):
    assert run("synthesize", "-o", tmp_path / "drawn", "--train", 4, "--val", 2, "--size", "120x160").exit_code == 0
    files = {"images_root_dir_path": "images", "mask_root_dir_path": "masks"}
    data = json.loads(DATASET) | {"root_directory_path": "/workspace/drawn"}
    for part, name in (("train_data", "train"), ("test_data", "val")):
        data[part] = files | {"annotation_root_dir_path": f"annotations/person_keypoints_{name}.json"}
    drawn = json.loads((tmp_path / "drawn/annotations/person_keypoints_val.json").read_text())["categories"][0]
    data["categories"] = [drawn | {"num_joints": len(drawn["keypoints"])}]
    (tmp_path / "coco.json").write_text(json.dumps(data))
    args = ("-d", tmp_path / "coco.json", "-o", tmp_path / "data/train", "-m", "train", "--check_files", "-p", 1)
    result = run("dataset_convert", *args, "--path-map", f"/workspace={tmp_path}")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "data/train-fold-000-of-001").exists()
    assert result.stdout.startswith(f"wrote 1 shard and {tmp_path}/data/manifest.json: ")
    assert result.stderr.splitlines()[-1] == "Execution status: PASS"
    statuses = [json.loads(line)["status"] for line in (tmp_path / "data/status.json").read_text().splitlines()]
    assert statuses == ["STARTED", "SUCCESS"]


def test_a_model_that_is_not_there_is_told_before_anything_starts(tmp_path):
    (tmp_path / "infer.yaml").write_text(INFERENCE)
    (tmp_path / "coco.json").write_text(DATASET)
    result = run("evaluate", "-i", tmp_path / "infer.yaml", "-d", tmp_path / "coco.json")
    assert result.exit_code == 2
    assert "error: /workspace/results/first/bpnet_model.tlt: there is no such model" in result.stderr
    result = run("prune", "-m", tmp_path / "none.keras", "-o", tmp_path / "out.keras")
    assert result.exit_code == 2
    assert "none.keras: there is no such model" in result.stderr


def test_export_dims_must_be_whole_cells_of_three_channels():
    assert input_size((288, 384, 3), "channels_last") == (288, 384)
    assert input_size((3, 288, 384), "channels_first") == (288, 384)
    with pytest.raises(UserError, match="290x384 is no multiple of 8; use 288,384,3"):
        input_size((290, 384, 3), "channels_last")
    with pytest.raises(UserError, match="384 channels"):
        input_size((3, 288, 384), "channels_last")
    result = run("export", "-m", "x", "-d", "288,384")
    assert result.exit_code == 2
    assert "'288,384' is not three positive numbers" in result.stderr


def test_an_export_never_replaces_a_file_and_always_has_an_ending_that_tells(tmp_path):
    model = tmp_path / "m.keras"
    assert output_path(model, None) == tmp_path / "m.onnx"
    assert output_path(model, str(tmp_path / "m.etlt")) == tmp_path / "m.etlt"
    assert output_path(model, str(tmp_path / "m.out")) == tmp_path / "m.out.onnx"
    assert output_path(tmp_path, None) == tmp_path / "model.onnx"
    (tmp_path / "m.onnx").touch()
    with pytest.raises(UserError, match="the file exists; name another"):
        output_path(model, None)


def test_the_engine_s_command_names_shapes_precision_and_memory(tmp_path):
    options = parsed("export", "-m", "m", "--data_type", "fp16", "--max_batch_size", "4", "--engine_file", "my engine")
    flags = ExportFlags.take(options)
    command = engine_command(tmp_path / "m.onnx", (288, 384), flags)
    assert command == (
        f"trtexec --onnx={tmp_path}/m.onnx --saveEngine='my engine' --stronglyTyped --minShapes=input_1:1x288x384x3 "
        "--optShapes=input_1:1x288x384x3 --maxShapes=input_1:4x288x384x3 --memPoolSize=workspace:2048M"
    )


def test_an_interrupt_ends_with_130_and_a_line(tmp_path):
    command = [sys.executable, "-m", "bodyposenet", "synthesize", "-o", str(tmp_path / "drawn"), "--train", "100000"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=heed_interrupts) as process:
        try:
            deadline = time.monotonic() + 60
            while not list(tmp_path.glob("drawn/images/*")) and time.monotonic() < deadline:
                time.sleep(0.1)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert said.splitlines()[-2:] == ["interrupted", "Execution status: FAIL"]


def heed_interrupts():
    """What a shell runs in the background ignores them, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize(
    "group", [(), ("spec",), ("skeleton",), ("tracking",), ("pipeline",), ("schedule",), ("component",)]
)
def test_a_list_of_commands_says_what_each_does_in_a_whole_sentence(group):
    said = run(*group, "--help").stdout.split("Commands:\n")[1].split("\n\n")[0]
    assert "..." not in said
    first = [line for line in said.splitlines() if re.match(r"  \w", line)]
    assert all(re.match(r"  [\w-]+  +[A-Z]", line) for line in first)
