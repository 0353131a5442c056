"""Wheels: each extra has a trial, one that fails is named, and one that went well is not tried again."""

import configparser
import json
import sys
from pathlib import Path

import pytest
from support.documents import ROOT
from support.extra_trials import BASE, LEFT_OUT, TRIALS, Trial, environment_of
from wheels import DoesNotWorkError, Result, check_environment, conclude, find_photo, read_result, run

PROGRAMS = Path(sys.executable).parent


def extras():
    parsed = configparser.ConfigParser()
    parsed.read(ROOT / "setup.cfg")
    return set(parsed["options.extras_require"])


def test_each_extra_is_tried_or_left_out_with_a_reason():
    assert TRIALS.keys() | LEFT_OUT.keys() == extras() | {BASE}
    assert not TRIALS.keys() & LEFT_OUT.keys()
    assert {each for trial in TRIALS.values() for each in trial.beside} <= extras()


def test_the_package_alone_must_do_without_the_large_libraries_and_stay_small():
    assert {"tensorflow-cpu", "keras", "pandas", "mlflow"} <= set(TRIALS[BASE].absent)
    assert TRIALS[BASE].most == 600


def test_a_script_that_fails_is_told_with_the_place_of_its_output(tmp_path):
    with pytest.raises(DoesNotWorkError, match=r"exit code 3.*output\.txt"):
        run(Trial("", "echo so far\nexit 3\necho further"), PROGRAMS, tmp_path / "run", find_photo())
    said = (tmp_path / "run" / "output.txt").read_text()
    assert "so far" in said
    assert "\nfurther" not in said


@pytest.mark.parametrize(
    ("drawn", "people", "right"),
    [("other", [{"score": 1}], True), ("other", [], False), ("photo", [{"score": 1}], False), ("", [{}], False)],
)
def test_somebody_is_to_be_found_and_drawn(tmp_path, drawn, people, right):
    content = {"other": b"with people", "photo": find_photo().read_bytes(), "": b""}[drawn]
    (tmp_path / "made").write_bytes(content)
    (tmp_path / "made.json").write_text(json.dumps(people))
    script = (
        f"mkdir bpnet-people; cp {tmp_path}/made bpnet-people/photo.people.jpg\n"
        f"cp {tmp_path}/made.json bpnet-people/detections_coco_format.json\nfound\n"
    )
    if right:
        run(Trial("", script), PROGRAMS, tmp_path / "run", find_photo())
    else:
        with pytest.raises(DoesNotWorkError):
            run(Trial("", script), PROGRAMS, tmp_path / "run", find_photo())


def test_a_script_sees_nothing_of_the_development_environment(tmp_path, monkeypatch):
    for name in ("PYTHONPATH", "BODYPOSENET_TEST_DATA", "MLFLOW_TRACKING_URI", "VIRTUAL_ENV"):
        monkeypatch.setenv(name, "here")
    seen = environment_of(Trial("", "", variables={"MINE": "1"}), tmp_path / "bin", tmp_path)
    assert seen["MINE"] == "1"
    assert seen["PATH"].split(":")[0] == str(tmp_path / "bin")
    assert "here" not in seen.values()


def test_what_must_not_be_there_is_named():
    with pytest.raises(DoesNotWorkError, match="brings numpy"):
        check_environment(Trial("", "", absent=("numpy", "no-such")), PROGRAMS)


def test_the_end_names_what_does_not_work(capsys):
    results = [Result(BASE, "1", 534.2, 61), Result("gcs", "1", problem="exit code 2: there"), Result("s3", "1")]
    with pytest.raises(SystemExit, match=r"its own: gcs$"):
        conclude(results)
    table = capsys.readouterr().out
    assert "534 MB" in table
    assert "exit code 2: there" in table
    assert all(extra in table for extra in LEFT_OUT)
    conclude(results[:1])


def test_an_extra_that_went_well_with_the_same_wheel_is_known(tmp_path):
    assert read_result(tmp_path, "1") is None
    for result, known in ((Result("s3", "1", 5, 6), True), (Result("s3", "1", problem="no"), False)):
        (tmp_path / "result.json").write_text(json.dumps(vars(result)))
        assert read_result(tmp_path, "1") == (result if known else None)
        assert read_result(tmp_path, "2") is None
