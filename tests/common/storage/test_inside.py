"""Inside: names that a file says touch nothing outside the folder that they are meant for."""

import contextlib
import json
import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st
from support.coco_files import annotation, image, write_dataset

from bodyposenet.common.cli.main import main
from bodyposenet.common.data.conversion.convert import convert_dataset
from bodyposenet.common.data.conversion.join import join_parts
from bodyposenet.common.data.conversion.shard_plan import is_shard, plan
from bodyposenet.common.data.conversion.staging import Staging
from bodyposenet.common.data.records.manifest import open_shards
from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.inside import is_plain, join_inside, remove_inside, stays_inside
from bodyposenet.common.tracking import record_sets, send_buffered
from bodyposenet.pipelines.parameters import from_spec

BOX = (5, 5, 40, 60)
PIECES = ("..", ".", "", "a", "b", "C:", "\\", "..\\", "a\\..", "\\\\host\\share", "~", "link", "...", " ..", "\0", "é")
names = st.text() | st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("/".join)
LEAVING = [
    "../victim.txt",
    "{root}/victim.txt",
    "a/../../victim.txt",
    "..",
    "",
    "a\\..\\..\\victim.txt",
    "C:\\x",
    "a\0b",
]
SHARED = "link/victim.txt"
OUTSIDE = r"no name of a file in this folder|a link that leads out"
EMPTY = '{"schema": 1, "sets": %s}'


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    """A folder with a link that leads out of it, and what must not be touched beside it."""
    root = tmp_path_factory.mktemp("ground")
    (root / "folder/a").mkdir(parents=True)
    (root / "victim.txt").write_text("precious")
    (root / "folder/link").symlink_to(root)
    return root


@pytest.fixture
def spec(tmp_path):
    return write_dataset(tmp_path / "data", [image(0), image(1)], [annotation(0, 0, BOX), annotation(1, 1, BOX)])


@pytest.fixture
def victim(tmp_path):
    (tmp_path / "victim.txt").write_text("precious")
    return tmp_path / "victim.txt"


def climbs(name):
    """Whether a name leaves its folder when either kind of slash divides it, told without the code under test."""
    depth = 0
    for part in re.split(r"[/\\]", name):
        depth += {"..": -1, ".": 0, "": 0}.get(part, 1)
        if depth < 0:
            return True
    return False


@given(names)
@example("a/../../x")
@example("C:x")
def test_a_name_that_climbs_or_is_absolute_on_any_system_does_not_stay_inside(name):
    if stays_inside(name):
        assert not climbs(name)
        assert not re.match(r"[/\\]|[A-Za-z]:", name)
        assert Path(os.path.normpath(Path("/root") / name)).is_relative_to("/root")
    if is_plain(name):
        assert stays_inside(name)
        assert (Path("/root") / name).parent == Path("/root")


@given(st.lists(st.sampled_from(["a", "b.jpg", "ü", " ", "x-fold-000"]), min_size=1, max_size=4))
def test_an_ordinary_name_is_joined_as_it_is(parts):
    assert join_inside(Path("/no/such"), "/".join(parts), where="m") == Path("/no/such", *parts)


@given(names)
@example(SHARED)
@example("link")
@example("../victim.txt")
def test_no_name_reads_or_removes_anything_outside(ground, name):
    folder = ground / "folder"
    with contextlib.suppress(UserError):
        assert os.path.realpath(join_inside(folder, name, where="m")).startswith(f"{folder}")
    with contextlib.suppress(UserError):
        remove_inside(folder, name, where="m")
    if not (folder / "link").is_symlink():
        (folder / "link").symlink_to(ground)
    assert (ground / "victim.txt").read_text() == "precious"


def test_a_link_to_a_folder_may_be_the_folder_itself(ground, tmp_path):
    (tmp_path / "here").symlink_to(ground / "folder")
    assert join_inside(tmp_path / "here", "a/x", where="m") == tmp_path / "here/a/x"


@given(st.integers(0, 3), st.integers(0, 3), st.sampled_from(["train", "a.b", "x[1]", "train-fold-000-of-001"]))
def test_shards_are_known_by_their_names(partitions, shards, base):
    assert all(is_shard(file, base) for file, _ in plan(5, base, partitions, shards))
    assert not any(is_shard(file, "val") for file, _ in plan(5, base, partitions, shards))


def described(*files, **more):
    return {"schema": 1, "sets": {"train": {"shards": [{"file": file} for file in files], **more}}}


@pytest.mark.parametrize("name", [*LEAVING, None, 7, ["x"], "sub/train-fold-000-of-001"])
@pytest.mark.usefixtures("victim")
def test_a_hostile_manifest_is_refused_by_all_that_read_it_and_nothing_is_touched(spec, tmp_path, name):
    name = name.format(root=tmp_path) if isinstance(name, str) else name
    (tmp_path / "out/sub").mkdir(parents=True)
    part = {"of_set": "train", "index": 0, "of": 1, "source": "x", "skipped": {}}
    (tmp_path / "out/manifest.json").write_text(json.dumps(described(name, part=part)))
    before = sorted(map(str, tmp_path.rglob("*")))  # the victim among them
    (tmp_path / "spec.json").write_text(spec.model_dump_json(by_alias=True))
    done = CliRunner().invoke(main, ["dataset_convert", "-d", f"{tmp_path}/spec.json", "-o", f"{tmp_path}/out/train"])
    assert (done.exit_code, isinstance(done.exception, SystemExit)) == (2, True)
    for read in (
        lambda: open_shards(tmp_path / "out", ["train"]),
        lambda: join_parts([tmp_path / "out"], tmp_path / "joined/train"),
        lambda: record_sets.describe_records(tmp_path / "out", ["train"], "training"),
    ):
        with pytest.raises(UserError, match="no name of a file beside it; do not use this folder"):
            read()
    (tmp_path / "out/status.json").unlink()  # which every verb writes
    (tmp_path / "spec.json").unlink()
    assert sorted(map(str, tmp_path.rglob("*"))) == before


@pytest.mark.parametrize("text", [
    "[]", '{"schema": 1}', EMPTY % "[]", EMPTY % '{"a": 5}', EMPTY % '{"a": {"shards": {}}}',
    EMPTY % '{"a": {"shards": ["x"]}}', "[" * 9999,
])  # fmt: skip
def test_what_is_no_manifest_is_told_before_any_work(spec, tmp_path, text):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/manifest.json").write_text(text)
    with pytest.raises(UserError, match="manifest"):
        convert_dataset(spec, tmp_path / "out/train")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["manifest.json"]


def test_a_conversion_removes_the_shards_that_it_replaces_and_no_other_file(spec, tmp_path, victim):
    """A manifest that calls somebody's notes, or another set's shard, a shard of its own does not make it one."""
    out = tmp_path / "out"
    convert_dataset(spec, out / "val", shards=(1, 0))
    convert_dataset(spec, out / "train", shards=(2, 0))
    (out / "notes.txt").write_text("mine")
    manifest = json.loads((out / "manifest.json").read_text())
    claimed = [{"file": "notes.txt"}, {"file": "val-fold-000-of-001"}, {"file": "train-fold-007-of-009"}]
    manifest["sets"]["train"]["shards"] += claimed
    (out / "manifest.json").write_text(json.dumps(manifest))
    (out / "train-fold-007-of-009").symlink_to(victim)
    convert_dataset(spec, out / "train", shards=(1, 0))
    assert sorted(path.name for path in out.iterdir()) == [
        "manifest.json", "notes.txt", "train-fold-000-of-001", "val-fold-000-of-001",
    ]  # fmt: skip
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("kind", ["link", "broken link", "pipe", "file"])
def test_what_is_called_as_another_attempt_and_is_no_folder_is_left_alone(spec, tmp_path, victim, kind):
    """An attempt to convert has a folder; a pipe that nobody writes would be waited for without an end."""
    (tmp_path / "theirs").mkdir()
    place = tmp_path / "out/.train.0123456789abcdef"
    place.parent.mkdir()
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "file":
        place.touch()
    else:
        place.symlink_to(tmp_path / ("theirs" if kind == "link" else "nothing"))
    convert_dataset(spec, tmp_path / "out/train")
    wanted = [place.name, "manifest.json", "train-fold-000-of-001"]
    assert sorted(path.name for path in place.parent.iterdir()) == wanted
    assert list((tmp_path / "theirs").iterdir()) == []


def test_links_in_the_folder_of_an_attempt_are_not_written_through(spec, tmp_path, victim, monkeypatch):
    """Whoever ships a set knows how its attempt is called, and what it calls its files."""
    monkeypatch.setattr(Staging, "publish", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        convert_dataset(spec, tmp_path / "out/train")
    monkeypatch.undo()
    (folder,) = (tmp_path / "out").glob(".train.*")
    (folder / "ready").unlink()
    (part,) = folder.glob("*.part")
    part.unlink()
    part.symlink_to(victim)
    convert_dataset(spec, tmp_path / "out/train")
    assert victim.read_text() == "precious"
    assert open_shards(tmp_path / "out", ["train"])


def test_shards_that_are_links_out_of_the_folder_are_not_read(spec, tmp_path):
    convert_dataset(spec, tmp_path / "out/train")
    shard = tmp_path / "out/train-fold-000-of-001"
    shard.rename(tmp_path / "elsewhere")
    shard.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="is a link that leads out of its folder; put the file itself there"):
        open_shards(tmp_path / "out", ["train"])


def test_masks_are_not_written_through_a_link_in_their_folder(spec, tmp_path):
    outside, masks = tmp_path / "outside", tmp_path / "data/masks"
    outside.mkdir()
    masks.mkdir()
    (masks / "sub").symlink_to(outside)
    people = [annotation(0, 0, BOX), annotation(1, 0, (60, 40, 30, 30), labelled=0)]
    (tmp_path / "data/images/sub").mkdir()
    (tmp_path / "data/images/000.png").rename(tmp_path / "data/images/sub/000.png")
    crowd = write_dataset(tmp_path / "more", [image(0) | {"file_name": "sub/000.png"}], people)
    document = (tmp_path / "more" / crowd.train_data.annotation_root_dir_path).read_text()
    (tmp_path / "data" / spec.train_data.annotation_root_dir_path).write_text(document)
    with pytest.raises(UserError, match="is a link that leads out of its folder"):
        convert_dataset(spec, tmp_path / "out/train", generate_masks=True, processes=1)
    assert list(outside.iterdir()) == []


def kept_run(folder, *events):
    folder.mkdir(parents=True)
    start = {"name": "verb", "pipeline": "", "time": 1, "run_id": "", "owned": True}
    end = {"op": "end", "status": "FINISHED", "time": 2}
    (folder / "run.jsonl").write_text("".join(json.dumps(line) + "\n" for line in (start, *events, end)))
    return folder


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return tmp_path_factory.mktemp("store") / "mlflow.db"


@pytest.fixture
def tracked(database, monkeypatch):
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")


@pytest.mark.usefixtures("tracked")
def test_a_kept_run_sends_and_removes_nothing_but_itself(tmp_path, victim, database):
    buffer = tmp_path / "results/tracking_buffer"
    for number, name in enumerate(["../../../victim.txt", str(victim), "files/link", "files/below"]):
        run = kept_run(buffer / f"verb-{number}", {"op": "artifact", "path": name, "folder": ""})
        (run / "files/below").mkdir(parents=True)
        (run / "files/link").symlink_to(victim)
        (run / "files/below/link").symlink_to(victim)
        with pytest.raises(UserError, match=OUTSIDE):
            send_buffered(run)
    stray = kept_run(tmp_path / "results/mine")
    for run in buffer.iterdir():
        (run / "run.jsonl").unlink()
    assert send_buffered(tmp_path / "results") == []
    assert (stray / "run.jsonl").exists()
    assert victim.read_text() == "precious"
    assert not list((database.parent / "mlartifacts").rglob("victim.txt"))


@pytest.mark.usefixtures("tracked")
def test_a_kept_run_whose_progress_a_kill_left_torn_is_sent_all_the_same(tmp_path):
    for number, left in enumerate(["", "[", "7", '["x"']):
        run = kept_run(tmp_path / f"tracking_buffer/verb-{number}")
        (run / "sent.json").write_text(left)
    assert len(set(send_buffered(tmp_path))) == 4
    assert list((tmp_path / "tracking_buffer").iterdir()) == []


@pytest.mark.parametrize("name", ["../victim.txt", "{root}/victim.txt", "link"])
def test_a_schedule_names_files_beside_itself_only(tmp_path, victim, name):
    (tmp_path / "schedules").mkdir()
    (tmp_path / "schedules/link").symlink_to(victim)
    with pytest.raises(UserError, match=OUTSIDE):
        from_spec({"train_spec": f"@{name.format(root=tmp_path)}"}, {}, tmp_path / "schedules")
