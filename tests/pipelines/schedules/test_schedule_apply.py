"""Schedule apply: declared schedules made true on a server, which is a fake; doing it again changes nothing."""

import pytest
from click.testing import CliRunner
from support.kubeflow_fake import kubeflow

from bodyposenet.common.cli.main import main
from bodyposenet.pipelines.package import find_package

NIGHTLY = """\
name: nightly
pipeline: ../tiny.yaml
cron: "0 0 2 * * *"
parameters:
  reference: 0.5
"""
WEEKLY = NIGHTLY.replace("nightly", "weekly").replace("0 0 2 * * *", "@weekly")
LATER = NIGHTLY.replace("0 0 2", "0 30 3").replace("0.5", "0.75")


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


def kept(fake):
    """What the server has of recurring runs and versions, but for when it was last asked about one."""
    runs = [{**each, "updated_at": ""} for each in fake.recurring.values()]
    return runs, list(fake.versions), list(fake.pipelines)


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
    before = kept(fake)
    assert signs(applied(folder)) == [f"= night-{number}: unchanged" for number in range(5)]
    assert kept(fake) == before
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
    before = kept(fake)
    assert signs(applied(declare(WEEKLY))) == ["= weekly: unchanged"]
    assert kept(fake) == before


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


STEPS = [  # each request of a replacement; before them the old one is switched to what it is
    ("POST /recurringruns/.*:enable", 0), ("POST /recurringruns", 0), ("POST /recurringruns/.*:disable", 0),
    ("POST /recurringruns/.*:enable", 1), ("DELETE /recurringruns/.*", 0),
]  # fmt: skip


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize(("step", "skip"), STEPS)
def test_a_replacement_that_is_cut_off_is_completed_and_never_runs_twice(fake, declare, step, skip, done):
    applied(declare(NIGHTLY))
    folder = declare(LATER)
    fake.fail(step, skip=skip, done=done)
    cut_off = run("schedule", "apply", folder)
    assert cut_off.exit_code == 2
    assert (
        cut_off.stderr == f"error: nightly: {fake.url}: it fails (503: planted); look at its log, and run this again\n"
    )
    applied(folder)
    assert (the(fake)["mode"], the(fake)["runtime_config"]["parameters"]) == ("ENABLE", {"reference": 0.75})
    assert fake.most_enabled == 1
    assert signs(applied(folder)) == ["= nightly: unchanged"]


def test_one_that_fails_keeps_no_other_from_being_made_and_is_told_at_the_end(fake, declare):
    folder = declare(*(NIGHTLY.replace("nightly", f"night-{number}") for number in range(4)))
    fake.fail("POST /recurringruns", 500, skip=1)
    result = run("schedule", "apply", folder)
    assert result.exit_code == 2
    assert signs(result.stdout) == [f"+ night-{number}: new" for number in (0, 2, 3)]
    assert result.stderr.splitlines() == [
        "error: 1 of 4 schedules failed; the others are as declared",
        f"  night-1: {fake.url}: it fails (500: planted); look at its log, and run this again",
    ]
    assert signs(applied(folder)) == [
        "= night-0: unchanged",
        "+ night-1: new",
        "= night-2: unchanged",
        "= night-3: unchanged",
    ]


def test_all_that_fail_are_told(fake, declare):
    applied(declare(WEEKLY))
    fake.fail("POST /recurringruns/.*:enable")
    fake.fail("POST /recurringruns", 0)
    result = run("schedule", "apply", declare(NIGHTLY))
    assert (result.exit_code, signs(result.stdout)) == (2, [])
    told, *failures = result.stderr.splitlines()
    assert told == "error: 2 of 2 schedules failed"
    assert [line.split(":")[0] for line in failures] == ["  nightly", "  weekly"]
    assert "Kubeflow Pipelines does not answer" in failures[0]
    assert signs(applied(declare(NIGHTLY))) == ["+ nightly: new", "- weekly: not declared, disabled"]


def lose_scheduled_workflow(fake):
    """What somebody does who deletes one with kubectl; returns the id of its recurring run."""
    key = the(fake)["recurring_run_id"]
    fake.gone.add(fake.scheduled[key])
    return key


@pytest.mark.parametrize("declaration", [NIGHTLY, LATER, NIGHTLY + "enabled: false\n"])
def test_a_schedule_whose_scheduled_workflow_is_gone_is_deleted_and_made_anew(fake, declare, declaration):
    applied(declare(NIGHTLY))
    old = lose_scheduled_workflow(fake)
    told = applied(declare(declaration))
    assert signs(told) == ["~ nightly: changed"]
    assert "    its ScheduledWorkflow was gone: deleted and made anew\n" in told
    assert old not in fake.recurring
    assert the(fake)["mode"] == ("DISABLE" if "enabled: false" in declaration else "ENABLE")
    assert signs(applied(declare(declaration))) == ["= nightly: unchanged"]


def test_one_that_is_declared_no_more_and_has_lost_its_scheduled_workflow_is_deleted(fake, declare):
    applied(declare(NIGHTLY))
    lose_scheduled_workflow(fake)
    told = applied(declare(WEEKLY))
    assert signs(told) == ["+ weekly: new", "- nightly: not declared, disabled"]
    assert "    its ScheduledWorkflow was gone: deleted\n" in told
    assert modes(fake) == [("weekly", "ENABLE")]


def test_a_schedule_that_is_started_and_cannot_be_stored_is_told(fake, declare):
    fake.fail("POST /recurringruns", done=True, stored=False)
    result = run("schedule", "apply", declare(NIGHTLY))
    assert result.exit_code == 2
    assert result.stderr == (
        f"error: nightly: {fake.url}: it has started this schedule, and cannot store it (invalid connection); "
        "it is in no list: find it with `kubectl get scheduledworkflows`, and delete it there\n"
    )


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


@pytest.mark.parametrize("owner", ["team-a", "Team_A.1", "équipe", "my set", "a/b", "a:b", "]", "a\nb", "", "@"])
def test_a_set_finds_its_schedules_again_or_cannot_be_called_so(fake, declare, owner):
    folder = declare(NIGHTLY)
    first = run("schedule", "apply", folder, "--set", owner)
    if first.exit_code == 0:
        assert signs(applied(folder, "--set", owner)) == ["= nightly: unchanged"]
        return
    assert "a set is called by letters, digits, dots and dashes" in first.stderr
    assert (len(first.stderr.splitlines()), fake.requests) == (1, [])


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
    before = kept(fake)
    assert signs(by_hand(tiny, "--name", "mine", "--cron", "0 0 2 * * *").stdout) == ["= mine: unchanged"]
    assert kept(fake) == before
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
