"""Verbs and library calls on paths in stores of every kind: the same as on a disk."""

import http.server
import json
import os
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.coco_files import image, write_dataset
from support.perfect import PerfectRunner, standing
from support.spec_files import DATASET, changed

from bodyposenet.common.cli.main import main
from bodyposenet.common.data.photo_set import (
    DATASET_SPEC,
    gather,
    keep_test_half,
    make_dataset_spec,
    photos_in,
    spec_in,
)
from bodyposenet.common.evaluation.evaluate import evaluate
from bodyposenet.common.evaluation.ground_truth import read_test_set
from bodyposenet.common.inference.inference import infer
from bodyposenet.common.spec.base import load_spec, parse_spec
from bodyposenet.common.spec.dataset import DatasetSpec
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.storage.digests import fingerprint
from bodyposenet.common.storage.files import listing, read_bytes, whole_file
from bodyposenet.common.storage.location import locate
from bodyposenet.common.storage.status_log import StatusLog

pytestmark = pytest.mark.usefixtures("one_photo_at_a_time")  # which perfect networks count on

IMAGES = [image(7, size=(240, 320)), image(3, size=(320, 200))]
PEOPLE = [standing(1, 7, (20, 20, 90, 210)), standing(3, 3, (30, 30, 110, 250))]


def bpnet(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


def upload(folder, where):
    """Every file below a folder, to a bucket."""
    for name in listing(folder):
        with whole_file(f"{where}/{name}") as file:
            file.write((Path(folder) / name).read_bytes())


def test_a_spec_in_a_bucket_may_name_paths_in_a_bucket(store):
    with whole_file(f"{store}/spec.json") as file:
        file.write(changed(DATASET, ("/workspace/data", f"{store}/coco")).encode())
    assert load_spec(f"{store}/spec.json", DatasetSpec).root_directory_path == f"{store}/coco"
    assert bpnet("spec", "check", f"{store}/spec.json").exit_code == 0


def test_a_path_map_leads_from_and_to_buckets(store, tmp_path):
    dataset = write_dataset(tmp_path / "data", IMAGES, PEOPLE)
    for root, pair, expected in (
        ("/workspace/coco", ("/workspace", store), f"{store}/coco"),
        ("gs://theirs/coco", ("gs://theirs", "/data"), "/data/coco"),
        ("gs://theirs/coco", ("gs://theirs/", f"{store}/ours/"), f"{store}/ours/coco"),
        ("gs://theirs/coco", ("/", "/data"), "gs://theirs/coco"),
    ):
        document = dataset.model_dump(mode="json", by_alias=True) | {"root_directory_path": root}
        assert parse_spec(document, DatasetSpec, path_map=[pair]).root_directory_path == expected


@pytest.mark.parametrize("name", ["none.yaml", "none.json"])
def test_a_spec_that_is_missing_in_a_bucket_is_named(store, name):
    done = bpnet("spec", "check", f"{store}/{name}")
    assert (done.exit_code, done.stderr.strip()) == (2, f"{store}/{name}: there is no such file")


@pytest.mark.parametrize("url", ["ftp://bucket/a", "gs:/bucket/a"])
def test_other_urls_are_wrong_usage(url):
    done = bpnet("skeleton", "fit", "-d", "coco.json", "-o", url)
    assert done.exit_code == 2
    assert "give a local path, gs://bucket/path, s3://bucket/path" in done.stderr


def test_a_verb_that_writes_to_a_disk_only_says_so(store):
    done = bpnet("prune", "-m", "model.keras", "-o", "small.keras", "-r", f"{store}/results")
    assert done.exit_code == 2
    assert "this verb writes to a disk only; give a local folder with -r" in done.stderr


def test_status_lines_follow_one_another_in_a_bucket(store):
    for message in ("one", "two"):
        StatusLog(f"{store}/results").write("RUNNING", message)
    lines = read_bytes(f"{store}/results/status.json").decode().splitlines()
    assert [json.loads(line)["message"] for line in lines] == ["one", "two"]


@pytest.mark.parametrize("photos", ["images", "images.zip"])
def test_an_evaluation_is_the_same_in_a_bucket(store, tmp_path, photos):
    dataset = write_dataset(tmp_path / "data", IMAGES, PEOPLE)
    upload(tmp_path / "data", f"{store}/data")
    if photos.endswith(".zip"):
        from support.archives import packed

        folder = dataset.locate_half("test").images
        with whole_file(f"{store}/data/{photos}") as file:
            file.write(packed({name: (folder / name).read_bytes() for name in listing(folder)}))
    test = dataset.test_data.model_copy(
        update={"images_root_dir_path": photos if photos.endswith(".zip") else dataset.test_data.images_root_dir_path}
    )
    moved = dataset.model_copy(update={"root_directory_path": f"{store}/data", "test_data": test})
    settings = parse_spec({"input_shape": [184, 184]}, InferenceSpec)
    runner = PerfectRunner(read_test_set(dataset), "adjust_network_input", shape=(184, 184))
    here = evaluate(runner, settings, dataset, tmp_path / "out")
    runner = PerfectRunner(read_test_set(dataset), "adjust_network_input", shape=(184, 184))
    there = evaluate(runner, settings, moved, locate(f"{store}/out"))
    assert (there.metrics, there.skipped) == (here.metrics, [])
    assert read_bytes(f"{store}/out/results.csv") == (tmp_path / "out/results.csv").read_bytes()


@pytest.mark.parametrize("kind", ["dir", "json", "image"])
def test_inference_takes_photos_of_a_bucket(store, tmp_path, kind):
    dataset = write_dataset(tmp_path / "data", IMAGES, PEOPLE)
    folder, name = dataset.locate_half("test").images, IMAGES[0]["file_name"]
    upload(folder, f"{store}/photos")
    with whole_file(f"{store}/list.json") as file:
        file.write(json.dumps(sorted(os.listdir(folder))).encode())
    source = {"dir": f"{store}/photos", "json": f"{store}/list.json", "image": f"{store}/photos/{name}"}[kind]
    settings = parse_spec({"input_shape": [184, 184]}, InferenceSpec)
    runner = PerfectRunner(read_test_set(dataset), "adjust_network_input", shape=(184, 184))
    root = locate(f"{store}/photos") if kind == "json" else None
    done = infer(
        runner, settings, input_type=kind, input=locate(source), image_root_path=root, dump_visualizations=True
    )
    assert (done.images, done.skipped) == (1 if kind == "image" else 2, [])
    assert str(done.detections).startswith(f"{store}/")
    assert len(listing(done.detections.parent / "images_annotated")) == done.images


def test_a_photo_set_in_a_bucket_is_found_fingerprinted_and_its_held_out_half_kept(store, tmp_path):
    gather("", tmp_path / "drawn", train=2, val=1)
    upload(tmp_path / "drawn", f"{store}/drawn")
    folder = gather(f"{store}/drawn", tmp_path / "set")
    assert str(folder) == str(photos_in(tmp_path / "set")) == f"{store}/drawn"
    before = fingerprint(folder)
    assert fingerprint(folder) == before
    spec = make_dataset_spec(folder)
    kept = keep_test_half(spec, tmp_path / "kept")
    (tmp_path / "kept" / DATASET_SPEC).write_text(kept.model_dump_json(by_alias=True))
    found = read_test_set(spec_in(tmp_path / "kept"))
    assert len(found.photos) == 1
    assert (spec_in(tmp_path / "kept").locate_half("test").images / found.photos[0].file_name).is_file()
    (tmp_path / "drawn/annotations/more.json").write_text("{}")
    upload(tmp_path / "drawn/annotations", f"{store}/drawn/annotations")
    assert fingerprint(folder) != before


def test_names_that_leave_the_folder_are_not_kept(tmp_path):
    gather("", tmp_path / "drawn", train=1, val=1)
    annotations = tmp_path / "drawn/annotations/person_keypoints_val.json"
    document = json.loads(annotations.read_text())
    document["images"][0]["file_name"] = f"../images/{document['images'][0]['file_name']}"
    annotations.write_text(json.dumps(document))
    keep_test_half(make_dataset_spec(tmp_path / "drawn"), tmp_path / "kept")
    assert sorted(listing(tmp_path / "kept")) == ["test/annotations.json"]


def test_a_prior_is_fitted_from_and_to_a_bucket(store, tmp_path):
    gather("", tmp_path / "drawn", train=40, val=1)
    upload(tmp_path / "drawn/annotations", f"{store}/drawn/annotations")
    spec = make_dataset_spec(tmp_path / "drawn").model_copy(update={"root_directory_path": f"{store}/drawn"})
    with whole_file(f"{store}/spec.json") as file:
        file.write(spec.model_dump_json(by_alias=True).encode())
    done = bpnet("skeleton", "fit", "-d", f"{store}/spec.json", "-o", f"{store}/prior.json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(read_bytes(f"{store}/prior.json"))["joints"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["synthesize", "-o", "gs://bucket/drawn"], "this is read or written on a disk only"),
        (["prune", "-m", "model.keras", "-o", "gs://bucket/small.keras"], "this is read or written on a disk only"),
        (["prune", "-m", "gs://bucket/model.keras", "-o", "small.keras"], "models are read from a disk"),
        (["tracking", "send", "gs://bucket/results"], "this is read or written on a disk only"),
    ],
)
def test_where_a_bucket_will_not_do_it_is_refused(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    done = bpnet(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert not (tmp_path / "gs:").exists()


def service_account_key():
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    private = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {"type": "service_account", "project_id": "p", "private_key": private.decode(), "private_key_id": "1"}
    return account | {
        "client_email": "photos@p.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
    }


def test_a_secret_may_hold_the_key_of_a_service_account(monkeypatch):
    """Kubeflow's tasks get it so; Google is asked for a token with it."""
    from bodyposenet.common.storage.stores import gcs

    account = service_account_key()
    monkeypatch.delenv(gcs.EMULATOR, raising=False)
    monkeypatch.setenv(gcs.KEY, json.dumps(account))
    assert gcs.client().account.service_account_email == account["client_email"]


@pytest.mark.parametrize(("key", "message"), [
    ("{", "BODYPOSENET_BUCKET_KEY: is no JSON; give the JSON file"),
    ('{"private_key": "s3cret"}', "BODYPOSENET_BUCKET_KEY: has no client_email; give the JSON file"),
    ('{"private_key": "s3cret", "client_email": "a@b", "token_uri": "https://c"}', "its private_key is none; give"),
])  # fmt: skip
def test_a_key_that_is_none_is_told_and_not_shown(monkeypatch, key, message):
    from bodyposenet.common.errors import UserError
    from bodyposenet.common.storage.stores import gcs

    monkeypatch.delenv(gcs.EMULATOR, raising=False)
    monkeypatch.setenv(gcs.KEY, key)
    with pytest.raises(UserError, match=message) as caught:
        gcs.client()
    assert "s3cret" not in str(caught.value)


def test_both_clients_sign_with_the_account_s_token(monkeypatch):
    """The token's server and the storage server are one here; a denied request shows what it was signed with."""
    from bodyposenet.common.storage.stores import gcs

    signed = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if "/o/a" in self.path:
                signed.append(self.headers["Authorization"])
            token = {"access_token": "t0ken", "expires_in": 3600, "token_type": "Bearer"}
            body = json.dumps(token).encode() if self.path == "/token" else b"content"
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("X-Goog-Generation", "7")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        monkeypatch.setenv(gcs.EMULATOR, url)
        account = service_account_key() | {"token_uri": f"{url}/token"}
        try:
            bucket = gcs.Bucket(gcs._read_account(json.dumps(account)), skip_instance_cache=True)
            assert bucket.read("b/a") == b"content"
            assert bucket.get_version("b/a") == (b"content", 7)
        finally:
            server.shutdown()
            thread.join()
    assert signed == ["Bearer t0ken"] * 2
