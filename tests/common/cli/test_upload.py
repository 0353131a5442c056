"""``--upload``: what a verb wrote, copied to a store."""

import json

import pytest
from click.testing import CliRunner
from support.coco_files import annotation, image, write_dataset
from support.faulty_proxy import faulty_proxy

from bodyposenet.common.cli.main import main
from bodyposenet.common.storage.files import listing, read_bytes
from bodyposenet.common.storage.location import locate
from bodyposenet.common.storage.stores import patience


@pytest.fixture
def convert(tmp_path):
    """Called with flags, it converts a photo with its results in ``tmp_path/results``."""
    spec = write_dataset(tmp_path / "data", [image(1)], [annotation(1, 1, (5, 5, 40, 60))])
    (tmp_path / "spec.json").write_text(spec.model_dump_json(by_alias=True))

    def run(*flags):
        arguments = ["dataset_convert", "-d", str(tmp_path / "spec.json"), "-o", str(tmp_path / "out/train"), *flags]
        return CliRunner().invoke(main, arguments, catch_exceptions=False)

    return run


def test_results_are_copied_to_a_store(convert, store, tmp_path):
    done = convert("-r", str(tmp_path / "results"), "--upload", f"{store}/runs/1")
    assert done.exit_code == 0, done.stderr
    names = {name for name in listing(tmp_path / "results") if not name.startswith(".")}
    assert f"uploaded {len(names)} files to {store}/runs/1" in done.stdout
    assert "status.json" in names
    assert {name: read_bytes(f"{store}/runs/1/{name}") for name in names} == {
        name: (tmp_path / "results" / name).read_bytes() for name in names
    }


def test_an_upload_that_fails_leaves_the_results_and_ends_with_2(convert, s3_bucket, s3_url, tmp_path, monkeypatch):
    monkeypatch.setattr(patience, "PAUSE", 0.01)

    def refuse_writing(request):
        return "busy" if request.command == "PUT" else None

    with faulty_proxy(s3_url, refuse_writing) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        done = convert("-r", str(tmp_path / "results"), "--upload", f"{s3_bucket}/runs")
    assert done.exit_code == 2
    assert "is not uploaded: the storage server refuses: " in done.stderr
    assert f"the results are whole in {tmp_path}/results: copy them from there" in done.stderr
    assert (tmp_path / "out/manifest.json").exists()
    lines = (tmp_path / "results/status.json").read_text().splitlines()
    assert json.loads(lines[-1])["status"] == "FAILURE"


def test_a_dry_run_tells_where_results_would_go_and_writes_nothing_there(convert, store, tmp_path):
    done = convert("-r", str(tmp_path / "results"), "--upload", f"{store}/runs/1", "--dry-run")
    assert done.exit_code == 0, done.stderr
    assert f"would upload what is in {tmp_path}/results then to {store}/runs/1" in done.stdout
    assert [*locate(store).glob("*")] == []
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("dry", [(), ("--dry-run",)], ids=["real", "dry"])
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["-r", "RESULTS", "--upload", "ftp://host/runs"], "this is no path that can be read"),
        (["-r", "RESULTS", "--upload", "s3:///runs"], "this is no path that can be read"),
        (["-r", "RESULTS", "--upload", "s3://no-such-bucket/runs"], "there is no such bucket"),
        (["--upload", "s3://bucket/runs"], "which folder is to be copied?; name one on a disk with -r"),
        (["-r", "RESULTS", "--upload", "/tmp/runs"], "results are uploaded to a store; give a gs://, s3://"),
        (["-r", "RESULTS", "--upload", "https://host/runs"], "https:// addresses can only be read"),
        (["-r", "s3://bucket/r", "--upload", "s3://bucket/runs"], "which folder is to be copied?"),
    ],
)
def test_what_cannot_be_uploaded_is_told_before_any_work(convert, s3_bucket, tmp_path, flags, message, dry):
    done = convert(*(str(tmp_path / "results") if flag == "RESULTS" else flag for flag in flags), *dry)
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr
    assert not (tmp_path / "out").exists()
