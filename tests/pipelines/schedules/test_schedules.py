"""Schedules: declarations in files, every mistake told with file and line before anything is sent."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.tiny_pipeline import compiled

from bodyposenet.common.errors import SpecError, UserError
from bodyposenet.pipelines.compile import PIPELINES
from bodyposenet.pipelines.schedules.schedules import read_file, read_folder

ROOT = Path(__file__).parents[3]
GOOD = """\
name: nightly
pipeline: tiny.yaml
cron: "0 0 2 * * *"
parameters:
  reference: 0.5
"""


@pytest.fixture
def folder(tmp_path_factory):
    """A folder with a compiled pipeline in it, which is no schedule: that is looked for in ``declared``."""
    made = tmp_path_factory.mktemp("schedules")
    compiled(made)
    (made / "declared").mkdir()
    return made


def written(folder, text, name="nightly.yaml"):
    file = folder / "declared" / name
    file.write_text(text.replace("tiny.yaml", "../tiny.yaml"))
    return file


def wrong(folder, text):
    """What is told of a declaration, without the folder's name."""
    with pytest.raises(SpecError) as error:
        read_file(written(folder, text))
    return str(error.value).replace(f"{folder}/declared/", "").splitlines()


def test_a_declaration_is_read_with_its_defaults(folder):
    declared = read_file(written(folder, GOOD))
    schedule = declared.schedule
    assert (schedule.name, schedule.cron, schedule.interval) == ("nightly", "0 0 2 * * *", None)
    assert (schedule.enabled, schedule.cache, schedule.no_catchup, schedule.max_concurrency) == (True, True, True, 1)
    assert (schedule.experiment, dict(declared.values)) == ("bodyposenet", {"reference": 0.5})
    assert declared.package.name == "tiny"


SECONDS = {"90s": 90, "30m": 1800, "6h": 21600, "1 d": 86400, "1h30m": 5400, "1d 12h": 129600, "3650d": 315360000}


@pytest.mark.parametrize(("text", "seconds"), SECONDS.items())
def test_an_interval_has_a_unit(folder, text, seconds):
    declared = read_file(written(folder, GOOD.replace('cron: "0 0 2 * * *"', f"interval: {text}")))
    assert declared.schedule.interval == seconds


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"0 0 2 * * *"', '"0 2 * * *"', "3: cron: Kubeflow's cron begins with seconds, and would take these five "
         'fields for another time; for crontab\'s meaning write "0 0 2 * * *"'),
        ('"0 0 2 * * *"', '"0 0 25 * * *"', "3: cron: hour should be 0 to 23 (got '25')"),
        ('cron: "0 0 2 * * *"\n', "", "1: give cron or interval"),
        ("cron: ", "corn: ", "3: corn: unknown key; did you mean 'cron'?"),
        ("cron: ", "interval: 6h\ncron: ", "3: interval: cron is given, too; keep one of them"),
        ('cron: "0 0 2 * * *"', "interval: 6", "3: interval: should be a number with a unit, such as 30m, 6h or 1d"),
        ('cron: "0 0 2 * * *"', "interval: 10s", "3: interval: should be greater than or equal to 60"),
        ('cron: "0 0 2 * * *"', "interval: 3651d", "3: interval: should be less than or equal to 315360000"),
        *(
            ('cron: "0 0 2 * * *"', f"interval: {text}", "3: interval: should be a number with a unit, such as 30m")
            for text in ("1h30", "1.5h", "-1h", "1H", "h", "''", "\u0663m", f"{'9' * 5000}d", "1h and 30m")
        ),
        *(
            ("parameters:", f"{key}: {when}\nparameters:", f"4: {key}: should be in a year from 1970 to 2100")
            for key in ("start_time", "end_time")
            for when in ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00")
        ),
        ("name: nightly", "name: Every Night", "1: name: should be lower-case letters, digits and dashes between them, "
         "60 at most (got 'Every Night')"),
        ("parameters:", "max_concurrency: 11\nparameters:", "4: max_concurrency: should be less than or equal to 10"),
        ("parameters:", "max_concurrency: 0\nparameters:", "4: max_concurrency: should be greater than or equal to 1"),
        ("parameters:", "enabled: 1\nparameters:", "4: enabled: should be a valid boolean"),
        ("parameters:", "start_time: 2026-11-25 10:00:00\nparameters:", "4: start_time: should have timezone info"),
        ("  reference", "  refrence", "5: parameters.refrence: the pipeline has no such input; did you mean "
         "'reference'?"),
        ("reference: 0.5", "reference: half", "5: parameters.reference: should be a number (got 'half')"),
        ("reference: 0.5", "reference: true", "5: parameters.reference: should be a number (got True)"),
        ("  reference", "  images: 2.5\n  reference", "5: parameters.images: should be a whole number (got 2.5)"),
        ("  reference", "  train_spec: {a: 1}\n  reference", "5: parameters.train_spec: should be text (got {'a': 1})"),
        ("  reference: 0.5", "  images: 2", "4: parameters.reference: missing; the pipeline wants a number"),
        ("  reference", "  train_spec: '@none.yaml'\n  reference", "the file of train_spec cannot be read"),
        ("tiny.yaml", "prune_retrian", "prune_retrian: no such pipeline; did you mean 'prune_retrain'?"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line(folder, old, new, told):
    assert any(told in line for line in wrong(folder, GOOD.replace(old, new))), wrong(folder, GOOD.replace(old, new))


def test_an_end_before_the_start_is_refused(folder):
    times = "start_time: 2026-11-25T10:00:00Z\nend_time: 2026-11-25T09:00:00Z\n"
    assert wrong(folder, GOOD + times) == ["nightly.yaml:7: end_time: not after start_time"]


def test_the_problems_of_all_files_are_told_together(folder):
    written(folder, GOOD.replace("0 0 2", "0 2"), "a.yaml")
    written(folder, GOOD.replace("reference", "refrence"), "b.yaml")
    written(folder, GOOD, "c.yaml")
    written(folder, GOOD, "d.yml")
    with pytest.raises(SpecError) as error:
        read_folder(folder / "declared")
    told = [line.replace(f"{folder}/declared/", "") for line in str(error.value).splitlines()]
    assert [line.split(" ")[0] for line in told] == ["a.yaml:3:", "b.yaml:4:", "b.yaml:5:", "d.yml:"]
    assert told[-1] == "d.yml: name: c.yaml has this name already (got 'nightly')"


def test_a_folder_without_schedules_is_a_mistake_and_stops_nothing(folder):
    with pytest.raises(UserError, match=r"no schedules in this folder; to stop the last one, .* enabled: false"):
        read_folder(folder / "declared")
    with pytest.raises(UserError, match="there is no such folder; check the path"):
        read_folder(folder / "elsewhere")


def test_a_value_may_stand_in_a_file_beside_the_declaration(folder):
    (folder / "declared" / "train.spec").write_text("num_epoch: 3\n")
    text = GOOD + "  train_spec: '@train.spec'\n"
    declared = read_file(written(folder, text))
    assert declared.values["train_spec"] == "num_epoch: 3\n"
    (folder / "declared" / "train.spec").write_text("num_epoch: 4\n")
    assert read_file(written(folder, text)).digest != declared.digest


def test_the_digest_is_of_what_is_meant_and_not_of_how_it_is_written(folder):
    first = read_file(written(folder, GOOD))
    again = "# another night\npipeline: tiny.yaml\nparameters: {reference: 0.5}\ncron: 0  0 2 * * *\nname: nightly\n"
    assert read_file(written(folder, again)).digest == first.digest
    assert read_file(written(folder, GOOD + "enabled: false\n")).digest == first.digest
    changes = ["cache: false", "max_concurrency: 2", "no_catchup: false", "experiment: x", "description: x",
               "end_time: 2030-01-01T00:00:00Z", "  images: 4"]  # fmt: skip
    digests = {read_file(written(folder, f"{GOOD}{change}\n")).digest for change in changes}
    assert len(digests | {first.digest}) == len(changes) + 1


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("", "next Thu 2026-11-26 02:00:00, Fri 2026-11-27 02:00:00, Sat 2026-11-28 02:00:00 UTC"),
        ("start_time: 2026-12-24T05:00:00+03:00", "next Fri 2026-12-25 02:00:00, Sat 2026-12-26 02:00:00, "
         "Sun 2026-12-27 02:00:00 UTC"),
        ("end_time: 2026-11-27T02:00:00Z", "next Thu 2026-11-26 02:00:00, Fri 2026-11-27 02:00:00 UTC"),
        ("end_time: 2026-11-20T02:00:00Z", "no more runs"),
    ],
)  # fmt: skip
def test_it_tells_its_next_runs(folder, more, told):
    schedule = read_file(written(folder, f"{GOOD}{more}\n")).schedule
    assert schedule.when(datetime(2026, 11, 25, 20, 30, tzinfo=UTC)) == told


def test_of_an_interval_it_tells_the_interval(folder):
    schedule = read_file(written(folder, GOOD.replace('cron: "0 0 2 * * *"', "interval: 36h"))).schedule
    assert schedule.when(datetime(2026, 11, 25, tzinfo=UTC)) == "every 36h from when it is made"


@pytest.mark.parametrize("file", sorted((ROOT / "manifests" / "schedules").iterdir()), ids=lambda file: file.name)
def test_a_committed_schedule_fits_its_pipeline(file):
    declared = read_file(file)
    assert declared.schedule.pipeline in PIPELINES
    assert declared.values["only_if_new"] is True, "a night without new photos should cost nothing"
