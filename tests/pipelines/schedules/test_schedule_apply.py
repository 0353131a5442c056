"""Schedule apply: declared schedules made true on a server, which is a fake; doing it again changes nothing."""

import pytest
from click.testing import CliRunner
from support.kubeflow_fake import kubeflow
from support.tiny_pipeline import compiled

from bodyposenet.common.cli.main import main
from bodyposenet.pipelines.package import find_package
from bodyposenet.pipelines.server import COOKIES, HOST, NAMESPACE, TOKEN, TOKEN_FILE

NIGHTLY = """\
name: nightly
pipeline: ../tiny.yaml
cron: "0 0 2 * * *"
parameters:
  reference: 0.5
"""
WEEKLY = NIGHTLY.replace("nightly", "weekly").replace("0 0 2 * * *", "@weekly")
LATER = NIGHTLY.replace("0 0 2", "0 30 3").replace("0.5", "0.75")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def fake(monkeypatch):
    for name in (NAMESPACE, TOKEN, TOKEN_FILE, COOKIES):
        monkeypatch.delenv(name, raising=False)
    with kubeflow() as running:
        monkeypatch.setenv(HOST, running.url)
        yield running


@pytest.fixture
def declare(tiny, tmp_path):
    """Writes the files of a folder anew, and returns the folder."""
    (tmp_path / "tiny.yaml").write_bytes(tiny.read_bytes())
    folder = tmp_path / "declared"
    folder.mkdir()

    def write(*texts):
        for file in folder.iterdir():
            file.unlink()
        for number, text in enumerate(texts):
            (folder / f"{number}.yaml").write_text(text)
        return folder

    return write


def run(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args], catch_exceptions=False)


def applied(folder, *args):
    """What an apply that comes to a good end tells."""
    result = run("schedule", "apply", folder, *args)
    assert result.exit_code == 0, result.output
    return result.stdout


def signs(text):
    """The lines about schedules, without those of their details."""
    return [line for line in text.splitlines() if line[0] in "+~-="]


def modes(fake):
    return sorted((each["display_name"], each["mode"]) for each in fake.recurring.values())


def the(fake):
    (recurring,) = fake.recurring.values()
    return recurring


def test_a_declared_schedule_is_made_as_it_is_declared(fake, declare, tiny):
    applied(declare(NIGHTLY + "experiment: nights\ndescription: While all sleep.\nmax_concurrency: 2\n"))
    made, version = the(fake), find_package(str(tiny)).version
    assert (made["display_name"], made["mode"], made["no_catchup"]) == ("nightly", "ENABLE", True)
    assert made["trigger"] == {"cron_schedule": {"cron": "0 0 2 * * *"}}
    assert made["max_concurrency"] == "2", "JSON of a protobuf has an int64 as text"
    assert made["runtime_config"]["parameters"] == {"reference": 0.5}
    assert made["description"].startswith("While all sleep. [bpnet default/nightly ")
    assert fake.experiments[made["experiment_id"]]["display_name"] == "nights"
    assert fake.versions[made["pipeline_version_reference"]["pipeline_version_id"]]["display_name"] == version


def test_an_interval_and_the_times_between_which_it_runs_are_sent(fake, declare):
    times = "start_time: 2026-12-24T05:00:00+03:00\nend_time: 2030-01-01T00:00:00Z\n"
    applied(declare(NIGHTLY.replace('cron: "0 0 2 * * *"', "interval: 6h") + times))
    timed = the(fake)["trigger"]["periodic_schedule"]
    assert timed.pop("start_time").startswith("2026-12-24T")
    assert timed == {"interval_second": "21600", "end_time": "2030-01-01T00:00:00+00:00"}
    assert "= nightly: unchanged" in applied(declare(NIGHTLY.replace('cron: "0 0 2 * * *"', "interval: 6h") + times))


def test_the_second_apply_changes_nothing(fake, declare):
    folder = declare(*(NIGHTLY.replace("nightly", f"night-{number}") for number in range(5)))
    assert signs(applied(folder)) == [f"+ night-{number}: new" for number in range(5)]
    before = list(fake.changes)
    assert signs(applied(folder)) == [f"= night-{number}: unchanged" for number in range(5)]
    assert fake.changes == before
    assert len(fake.versions) == 1


def test_a_diff_tells_what_an_apply_would_do_and_does_nothing(fake, declare):
    folder = declare(NIGHTLY)
    before = run("schedule", "diff", folder)
    assert (before.exit_code, signs(before.stdout)) == (1, ["+ nightly: new"])
    assert fake.changes == []
    applied(folder)
    after = run("schedule", "diff", folder)
    assert (after.exit_code, signs(after.stdout)) == (0, ["= nightly: unchanged"])
    changed = run("schedule", "diff", declare(LATER))
    assert changed.exit_code == 1
    assert changed.stdout.splitlines()[:3] == [
        "~ nightly: changed",
        "    cron: 0 0 2 * * * -> 0 30 3 * * *",
        "    parameters.reference: 0.5 -> 0.75",
    ]
    gone = run("schedule", "diff", declare(WEEKLY))
    assert signs(gone.stdout) == ["+ weekly: new", "- nightly: not declared, disabled"]
    assert "2 of 2 schedules would change." in gone.stdout


def test_a_changed_schedule_is_replaced_and_never_runs_twice(fake, declare):
    applied(declare(NIGHTLY))
    old = the(fake)["recurring_run_id"]
    assert signs(applied(declare(LATER))) == ["~ nightly: changed"]
    made = the(fake)
    assert made["recurring_run_id"] != old
    assert (made["mode"], made["runtime_config"]["parameters"]) == ("ENABLE", {"reference": 0.75})
    assert fake.most_enabled == 1


def test_another_version_of_the_pipeline_replaces_the_schedule(fake, declare):
    folder = declare(NIGHTLY)
    applied(folder)
    file = folder.parent / "tiny.yaml"
    file.write_text(file.read_text().replace("Compares two", "Compares these two"))
    told = applied(folder)
    assert "~ nightly: changed\n    another version of the pipeline\n" in told
    assert the(fake)["pipeline_version_reference"]["pipeline_version_id"] == list(fake.versions)[-1]


def test_a_version_that_somebody_deleted_is_uploaded_again(fake, declare):
    folder = declare(NIGHTLY)
    applied(folder)
    fake.versions.clear()
    assert "its version of the pipeline is gone" in applied(folder)
    assert "= nightly: unchanged" in applied(folder)
    assert the(fake)["pipeline_version_reference"]["pipeline_version_id"] in fake.versions


def test_a_schedule_whose_file_is_gone_is_disabled_and_kept(fake, declare):
    applied(declare(NIGHTLY, WEEKLY))
    assert signs(applied(declare(WEEKLY))) == ["= weekly: unchanged", "- nightly: not declared, disabled"]
    assert modes(fake) == [("nightly", "DISABLE"), ("weekly", "ENABLE")]
    before = list(fake.changes)
    assert signs(applied(declare(WEEKLY))) == ["= weekly: unchanged"]
    assert fake.changes == before


def test_one_that_was_disabled_is_made_anew_so_that_it_makes_up_for_nothing(fake, declare):
    applied(declare(NIGHTLY))
    old = the(fake)["recurring_run_id"]
    applied(declare(WEEKLY))
    assert "    to be enabled\n" in applied(declare(NIGHTLY, WEEKLY))
    assert modes(fake) == [("nightly", "ENABLE"), ("weekly", "ENABLE")]
    assert old not in fake.recurring


def test_one_that_is_not_to_run_is_switched_off_where_it_is(fake, declare):
    applied(declare(NIGHTLY))
    old = the(fake)["recurring_run_id"]
    told = applied(declare(NIGHTLY + "enabled: false\n"))
    assert "    to be disabled\n" in told
    assert (the(fake)["recurring_run_id"], the(fake)["mode"]) == (old, "DISABLE")
    assert signs(applied(declare(NIGHTLY + "enabled: false\n"))) == ["= nightly: unchanged"]


def test_one_that_somebody_switched_off_by_hand_runs_again(fake, declare):
    applied(declare(NIGHTLY))
    the(fake)["mode"] = "DISABLE"
    assert "    to be enabled\n" in applied(declare(NIGHTLY))
    assert the(fake)["mode"] == "ENABLE"


STEPS = ["POST /recurringruns", "POST /recurringruns/.*:disable", "POST /recurringruns/.*:enable",
         "DELETE /recurringruns/.*"]  # fmt: skip


@pytest.mark.parametrize("step", STEPS)
def test_a_replacement_that_is_cut_off_is_completed_and_never_runs_twice(fake, declare, step):
    applied(declare(NIGHTLY))
    folder = declare(LATER)
    fake.fail(step)
    cut_off = run("schedule", "apply", folder)
    assert cut_off.exit_code == 2
    assert "error: nightly: " in cut_off.stderr
    assert "it fails (503: planted)" in cut_off.stderr
    applied(folder)
    assert (the(fake)["mode"], the(fake)["runtime_config"]["parameters"]) == ("ENABLE", {"reference": 0.75})
    assert fake.most_enabled == 1
    assert signs(applied(folder)) == ["= nightly: unchanged"]


def test_what_was_made_before_a_failure_is_told_and_stays(fake, declare):
    applied(declare(WEEKLY))
    fake.fail("POST /recurringruns/.*:disable")
    result = run("schedule", "apply", declare(NIGHTLY))
    assert (result.exit_code, signs(result.stdout)) == (2, ["+ nightly: new"])
    assert "1 of 2 schedules are as declared, run this again for the rest" in result.stderr
    assert signs(applied(declare(NIGHTLY))) == ["= nightly: unchanged", "- weekly: not declared, disabled"]


def made_by_others(fake, declare, mode):
    """A recurring run with nobody's mark, of the name that we declare."""
    applied(declare(NIGHTLY))
    the(fake).update(description="mine", mode=mode)


def test_a_recurring_run_that_others_made_is_not_touched(fake, declare):
    made_by_others(fake, declare, "ENABLE")
    before = list(fake.changes)
    clash = run("schedule", "apply", declare(LATER))
    assert clash.exit_code == 2
    assert clash.stderr == (
        "error: nightly: a recurring run of this name is there, made by somebody else; "
        "disable that, or give the schedule another name\n"
    )
    assert fake.changes == before
    assert signs(applied(declare(WEEKLY))) == ["+ weekly: new"]
    assert modes(fake) == [("nightly", "ENABLE"), ("weekly", "ENABLE")]


def test_one_of_others_that_does_not_run_is_in_nobody_s_way(fake, declare):
    made_by_others(fake, declare, "DISABLE")
    assert signs(applied(declare(LATER))) == ["+ nightly: new"]
    assert modes(fake) == [("nightly", "DISABLE"), ("nightly", "ENABLE")]


def test_two_folders_on_one_server_leave_each_other_alone(fake, declare):
    applied(declare(NIGHTLY), "--set", "team-a")
    assert signs(applied(declare(WEEKLY), "--set", "team-b")) == ["+ weekly: new"]
    assert modes(fake) == [("nightly", "ENABLE"), ("weekly", "ENABLE")]
    clash = run("schedule", "apply", declare(NIGHTLY), "--set", "team-b")
    assert "made by the set 'team-a'" in clash.stderr


def test_a_mistake_in_any_file_is_told_before_the_server_is_asked_anything(fake, declare):
    folder = declare(NIGHTLY, WEEKLY.replace("@weekly", "0 2 * * 0"))
    result = run("schedule", "apply", folder)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"{folder}/1.yaml:3: cron: Kubeflow's cron begins with seconds")
    assert 'write "0 0 2 * * 0"' in result.stderr
    assert fake.requests == []


def test_what_a_schedule_starts_runs(fake, declare, tmp_path):
    applied(declare(NIGHTLY + "  candidate: 0.49\n"))
    assert fake.execute(the(fake), tmp_path) == {"Output": True}


def test_on_a_kubeflow_of_several_users_it_is_about_one_namespace(declare):
    with kubeflow(multi_user=True) as fake:
        where = ("--host", fake.url, "--namespace", "mine")
        applied(declare(NIGHTLY), *where)
        assert "= nightly: unchanged" in applied(declare(NIGHTLY), *where)
        (experiment,) = fake.experiments.values()
        assert experiment["namespace"] == "mine"


def by_hand(tiny, *args):
    return run("pipeline", "schedule", tiny, "-p", "reference=0.5", *args)


def test_a_schedule_made_by_hand_changes_only_if_something_else_is_asked(fake, declare, tiny):
    assert signs(by_hand(tiny, "--name", "mine", "--cron", "0 0 2 * * *").stdout) == ["+ mine: new"]
    before = list(fake.changes)
    assert signs(by_hand(tiny, "--name", "mine", "--cron", "0 0 2 * * *").stdout) == ["= mine: unchanged"]
    assert fake.changes == before
    assert signs(by_hand(tiny, "--name", "other", "--interval", "6h", "--disabled").stdout) == ["+ other: new"]
    assert signs(by_hand(tiny, "--name", "mine", "--cron", "0 0 3 * * *").stdout) == ["~ mine: changed"]
    assert signs(applied(declare(WEEKLY))) == ["+ weekly: new"]
    assert modes(fake) == [("mine", "ENABLE"), ("other", "DISABLE"), ("weekly", "ENABLE")]


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (["--cron", "0 2 * * *"], 'for crontab\'s meaning write "0 0 2 * * *"'),
        ([], "give cron or interval"),
        (["--cron", "@daily", "--interval", "6h"], "cron is given, too; keep one of them"),
        (["--cron", "@daily", "-p", "candidat=1"], "no such input; did you mean 'candidate'?"),
        (["--cron", "@daily", "-p", "images=few"], "images: should be a whole number (got 'few')"),
    ],
)
def test_a_mistake_on_the_command_line_is_told_before_the_server_is_asked_anything(fake, tiny, args, problem):
    result = by_hand(tiny, "--name", "mine", *args)
    assert result.exit_code == 2
    assert problem in result.stderr
    assert fake.requests == []
