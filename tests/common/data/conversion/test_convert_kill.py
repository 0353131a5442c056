"""Conversions that are stopped: killed, interrupted, out of disk; run again, they end as if nothing had been."""

import functools
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.coco_files import annotation, image, write_dataset
from support.killing import Bench, contents, kill_everywhere, kill_often
from support.stopped import children, spoil_unseen, standing, wait_until_gone

from bodyposenet.common.data.conversion import shard_plan
from bodyposenet.common.data.conversion.convert import convert_dataset
from bodyposenet.common.data.conversion.split import DatasetSplit
from bodyposenet.common.data.conversion.worker_pool import WorkerPool
from bodyposenet.common.data.records.manifest import open_shards
from bodyposenet.common.errors import AwayError, UserError
from bodyposenet.common.storage.location import locate

BOX, FAR = (5, 5, 40, 60), (90, 40, 50, 70)
COUNT = 20
KILLED = -signal.SIGKILL


@pytest.fixture
def spec(tmp_path, monkeypatch):
    """Twenty photos in pieces of three; a stranger in every second photo."""
    monkeypatch.setattr(shard_plan, "PIECE", 3)
    people = [annotation(number, number, BOX) for number in range(COUNT)]
    people += [annotation(COUNT + number, number, FAR, labelled=0) for number in range(0, COUNT, 2)]
    return write_dataset(tmp_path / "data", [image(number) for number in range(COUNT)], people)


@pytest.fixture
def wanted(spec, tmp_path):
    """What an undisturbed conversion leaves."""
    convert_dataset(spec, tmp_path / "wanted/train")
    return contents(tmp_path / "wanted")


def make_command(spec, folder, code):
    """Make the command of a conversion to ``out/train``, in a process that runs some code."""
    (folder / "spec.json").write_text(spec.model_dump_json(by_alias=True))
    return [sys.executable, "-c", code, "dataset_convert", "-d", folder / "spec.json", "-o", folder / "out/train"]


@pytest.mark.parametrize(("processes", "kills"), [(1, 5), (2, 3)])
def test_a_conversion_killed_at_any_moment_ends_byte_identical_when_it_is_run_again(tmp_path, processes, kills):
    """``make chaos`` kills 200."""
    bench = Bench.set_up(tmp_path, 400, processes)
    states, wrong = kill_often(bench, kills, seed=processes)
    assert (states.total(), wrong) == (kills, [])


@pytest.mark.heavy
def test_a_conversion_killed_before_every_second_operation_on_a_file_ends_byte_identical(tmp_path, monkeypatch):
    monkeypatch.setattr(shard_plan, "PIECE", 4)
    states, wrong = kill_everywhere(Bench.set_up(tmp_path, 12, 1), step=2)
    assert wrong == []
    assert states["publishing"] > 5
    assert states["making pieces"] > 20


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_do_not_change_the_bytes(spec, tmp_path, wanted, processes):
    convert_dataset(spec, tmp_path / "out/train", processes=processes)
    assert contents(tmp_path / "out") == wanted


def test_what_was_finished_is_not_done_again(spec, tmp_path, wanted):
    with standing(spec, tmp_path / "out/train"):
        pass
    first = list(open_shards(tmp_path / "wanted", ["train"])[0])[:3]
    for record in first:
        spoil_unseen(tmp_path / "data" / record.image_path)
    convert_dataset(spec, tmp_path / "out/train")
    assert contents(tmp_path / "out") == wanted


def test_another_input_does_not_go_on_with_the_pieces_of_the_old_one(spec, tmp_path):
    with standing(spec, tmp_path / "out/train"):
        pass
    shutil.copy(tmp_path / "data/images/000.png", tmp_path / "data/images/001.png")
    convert_dataset(spec, tmp_path / "wanted/train")
    convert_dataset(spec, tmp_path / "out/train")
    assert contents(tmp_path / "out") == contents(tmp_path / "wanted")


@pytest.mark.parametrize("damage", ["cut", "other byte", "longer"])
def test_a_damaged_piece_is_made_again(spec, tmp_path, wanted, damage):
    with standing(spec, tmp_path / "out/train"):
        pass
    (part,) = (tmp_path / "out").glob(".train.*/*.part")
    whole = part.read_bytes()
    part.write_bytes({"cut": whole[:-1], "other byte": whole[:-1] + b"?", "longer": whole + b"more"}[damage])
    convert_dataset(spec, tmp_path / "out/train")
    assert contents(tmp_path / "out") == wanted


def test_workers_end_with_the_process_that_started_them(spec, tmp_path):
    with standing(spec, tmp_path / "out/train", "--processes", 2) as process:
        workers = children(process)
        assert len(workers) == 2
        process.kill()
        assert all(map(wait_until_gone, workers))


def test_ctrl_c_ends_at_once_with_130_and_no_traceback(spec, tmp_path, wanted):
    with standing(spec, tmp_path / "out/train", "--processes", 2) as process:
        workers = children(process)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 130
    assert "interrupted" in said.splitlines()
    assert "Traceback" not in said
    assert all(map(wait_until_gone, workers))
    convert_dataset(spec, tmp_path / "out/train")
    assert contents(tmp_path / "out") == wanted


def test_two_conversions_to_one_name_at_once_are_refused(spec, tmp_path, wanted):
    with standing(spec, tmp_path / "out/train"):
        with pytest.raises(
            UserError, match=r"another conversion to this name is running: process \d+ of .+; wait for it"
        ):
            convert_dataset(spec, tmp_path / "out/train")
        other = spec.model_copy(update={"dataset": "other"})
        with pytest.raises(UserError, match="another conversion to this name is running"):
            convert_dataset(other, tmp_path / "out/train")
        convert_dataset(spec, tmp_path / "out/val")
    convert_dataset(spec, tmp_path / "out/train")
    (tmp_path / "out/manifest.json").unlink()
    (tmp_path / "out/val-fold-000-of-001").unlink()
    del wanted["manifest.json"]
    assert contents(tmp_path / "out") == wanted


def test_a_worker_that_is_killed_is_told():
    jobs = [functools.partial(signal.raise_signal, signal.SIGKILL)]
    with (
        WorkerPool(2) as pool,
        pytest.raises(UserError, match=r"a worker process was killed by signal 9; run it again"),
    ):
        list(pool.run(jobs))


def test_a_pool_does_every_job_once_and_passes_errors_on():
    with WorkerPool(2) as pool:
        assert sorted(pool.run([functools.partial(abs, -number) for number in range(50)])) == list(range(50))
        with pytest.raises(ZeroDivisionError):
            list(pool.run([functools.partial(divmod, 1, 0)]))


@pytest.mark.parametrize("processes", [1, 2])
def test_a_full_disk_is_told_and_the_conversion_goes_on_once_there_is_space(spec, tmp_path, wanted, processes):
    """A limit of the file size stands for the disk's end; three photos fit, a shard does not."""
    code = "from bodyposenet.common.data.conversion import shard_plan; shard_plan.PIECE = 3;"
    code += "from bodyposenet.common.cli.main import main; main()"
    command = make_command(spec, tmp_path, code)
    command += ["-r", tmp_path / "results", "--processes", str(processes)]
    limit = 400_000  # bytes
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == 2, done.stderr
    assert "the file is larger than its disk or the limit allows; write more shards, write elsewhere, or" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")] == []
    assert not list((tmp_path / "out").glob("**/*.tmp"))
    convert_dataset(spec, tmp_path / "out/train")
    assert contents(tmp_path / "out") == wanted


def test_photos_that_vanish_while_they_are_converted_stop_it(spec, tmp_path):
    """Else a disk that is unmounted would look like photos that are not there, and be left out."""
    source = DatasetSplit.read(spec, "train")
    recipe = source.recipe(thorough=False, mask_files=False, token="")
    shutil.rmtree(tmp_path / "data/images")
    with pytest.raises(AwayError, match=r"images: the photos have gone \(No such file or directory\); bring them back"):
        source.piece("piece", locate(tmp_path), [0], recipe)()


def test_masks_leave_nothing_of_a_killed_attempt(spec, tmp_path):
    masks = tmp_path / "data/masks"
    with standing(spec, tmp_path / "out/train", "--generate_masks"):
        key = next((tmp_path / "out").glob(".train.*")).suffix
    (masks / f".000.png{key}-12.tmp").write_bytes(b"half")
    convert_dataset(spec, tmp_path / "out/train", generate_masks=True)
    assert sorted(os.listdir(masks)) == [f"{number:03d}.png" for number in range(0, COUNT, 2)]


def test_memory_does_not_grow_with_the_photos(tmp_path):
    """Three thousand photos more, of 30 kB, are some megabytes of annotations and manifest."""
    code = "import sys; from support.memory import forget_peak, peak_bytes; from support.scale import convert_many;"
    code += "forget_peak(); convert_many(sys.argv[1], int(sys.argv[2])); print(peak_bytes() // 2**20)"
    megabytes = []
    for count in (1000, 4000):
        command = [sys.executable, "-c", code, str(tmp_path / str(count)), str(count)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=str(Path(__file__).parents[3]))
        assert done.returncode == 0, done.stderr
        megabytes.append(int(done.stdout))
        assert (tmp_path / f"{count}/out/train-fold-000-of-001").stat().st_size > count * 25_000
        shutil.rmtree(tmp_path / str(count))
    assert megabytes[1] - megabytes[0] < 30
    assert max(megabytes) < 300


def test_a_conversion_needs_no_tensorflow(spec, tmp_path):
    code = "import sys; from bodyposenet.common.cli.main import main\n"
    code += "try: main()\nfinally: print(*[name for name in ('tensorflow', 'keras', 'mlflow') if name in sys.modules])"
    done = subprocess.run(make_command(spec, tmp_path, code), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:] == [""]
