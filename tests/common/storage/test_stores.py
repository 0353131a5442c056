"""Stores: one suite for every kind, against servers that are real ones or answer as they do."""

import contextlib
import json
import os
import pickle
import re
import subprocess
import sys
import threading
import tracemalloc

import pytest
from support.archives import packed
from support.azure_server import connection
from support.faulty_proxy import Faults, faulty_proxy
from support.local_server import free_port
from support.web_server import web_server
from support.writers import append_at_one_time

from bodyposenet.common.data.photo_set import make_dataset_spec
from bodyposenet.common.errors import AwayError, PassingError, UserError
from bodyposenet.common.storage.digests import digest_content, fingerprint
from bodyposenet.common.storage.files import find_bytes, listing, read_bytes, rewrite, whole_file
from bodyposenet.common.storage.location import join, locate
from bodyposenet.common.storage.photo_store import open_photos
from bodyposenet.common.storage.snapshots import Snapshots
from bodyposenet.common.storage.stores import azure, patience, s3, web_requests
from bodyposenet.common.storage.stores.web_requests import follow_move

ODD = "a b/ü [1] *?#%25+&=.txt"  # a name with what means something in URLs and patterns
ENDPOINTS = {
    "bucket": "STORAGE_EMULATOR_HOST",
    "s3_bucket": "AWS_ENDPOINT_URL",
    "azure_bucket": "AZURE_STORAGE_CONNECTION_STRING",
}
CONNECTION = "azure_bucket"  # its variable has more than an address


def put(path, content):
    with whole_file(path) as file:
        file.write(content)


def fail(path, size):
    with whole_file(path) as file:
        file.write(bytes(size))
        raise RuntimeError("in the middle")


@pytest.fixture
def soon(monkeypatch):
    """Requests are made again at once."""
    monkeypatch.setattr(patience, "PAUSE", 0.01)


@pytest.fixture
def web(tmp_path, web_certificate, monkeypatch):
    """A server of the files in ``tmp_path/web``, by https."""
    (tmp_path / "web").mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", str(web_certificate))
    with web_server(tmp_path / "web", web_certificate) as server:
        yield server


def test_text_becomes_a_path_of_its_kind(store):
    remote = locate(f"{store}/a/b.tar.gz")
    assert str(remote) == f"{store}/a/b.tar.gz"
    assert (remote.name, remote.stem, remote.suffix) == ("b.tar.gz", "b.tar", ".gz")
    assert (remote.suffixes, str(remote.parent)) == ([".tar", ".gz"], f"{store}/a")
    assert [str(path).rstrip("/") for path in remote.parents] == [f"{store}/a", store]
    assert str(remote.with_name("c") / "d") == f"{store}/a/c/d"
    assert str(join("/data", f"{store}/images")) == f"{store}/images"
    assert str(join(store, "images")) == f"{store}/images"
    assert locate(remote) is remote
    assert pickle.loads(pickle.dumps(remote)) == remote
    assert len({remote, locate(f"{store}/a/b.tar.gz"), remote.parent}) == 2
    assert remote.absolute() == remote
    assert remote.remote


@pytest.mark.parametrize("name", ["plain", ODD])
def test_what_is_written_is_read_listed_and_removed(store, name):
    path = locate(f"{store}/new") / name
    assert find_bytes(path) is None
    for content in (b"one", b"", b"another"):
        put(path, content)
        assert read_bytes(path) == content
        assert path.count_bytes() == len(content)
    assert {name: stat.size for name, stat in listing(f"{store}/new").items()} == {name: 7}
    assert [path.fetch(*span) for span in ((0, 3), (2, 5), (4, 99), (99, 199), (3, 3))] == [
        *(b"ano", b"oth", b"her", b"", b""),
    ]
    assert path.is_file()
    assert not path.is_dir()
    assert locate(f"{store}/new").is_dir()
    assert [found.name for found in locate(f"{store}/new").iterdir()] == [name.partition("/")[0]]
    path.unlink()
    assert not path.exists()
    path.unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        path.unlink()


def test_a_large_file_goes_in_parts_and_is_read_in_turn(store):
    content = os.urandom(1 << 20) * 20
    put(f"{store}/large", content)
    assert read_bytes(f"{store}/large") == content
    with locate(f"{store}/large").open_stream() as file:
        assert file.read(1000) == content[:1000]
        file.seek(-3000, os.SEEK_END)
        assert file.read() == content[-3000:]


def test_an_object_that_is_too_large_is_refused_by_its_size(store):
    """Of one that may be read whole, with its copy, more would be in memory."""
    put(f"{store}/large", bytes(40 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="large: this file has more than 33,554,432 bytes"):
            read_bytes(f"{store}/large", most=32 << 20)
        assert tracemalloc.get_traced_memory()[1] < 24 << 20
    finally:
        tracemalloc.stop()
    assert len(read_bytes(f"{store}/large", most=40 << 20)) == 40 << 20


@pytest.mark.parametrize("size", [3, 20 << 20])
def test_a_write_that_fails_leaves_what_was_there(store, size):
    path = f"{store}/file"
    for before in (None, b"before"):
        if before:
            put(path, before)
        with pytest.raises(RuntimeError, match="in the middle"):
            fail(path, size)
        assert find_bytes(path) == before


def test_a_fingerprint_tells_what_changed(store):
    for name in ("a", "below/b"):
        put(f"{store}/set/{name}", name.encode())
    put(f"{store}/settings", b"of another name")
    before, version, content = (
        fingerprint(f"{store}/set"),
        listing(f"{store}/set"),
        digest_content(locate(f"{store}/set/a")),
    )
    assert fingerprint(f"{store}/set") == before
    put(f"{store}/set/a", b"A")
    after = listing(f"{store}/set")
    assert fingerprint(f"{store}/set") != before
    assert digest_content(locate(f"{store}/set/a")) != content
    assert after["a"].version != version["a"].version
    assert after["below/b"] == version["below/b"]
    assert locate(f"{store}/set/a").find_version() == after["a"].version
    assert len(listing(store)) == 3


def test_a_listing_takes_several_answers(s3_bucket, monkeypatch):
    monkeypatch.setattr(s3, "PAGE", 2)
    for number in range(5):
        put(f"{s3_bucket}/{number}/x", b"")
    assert sorted(listing(s3_bucket)) == [f"{number}/x" for number in range(5)]
    assert sorted(path.name for path in locate(s3_bucket).iterdir()) == [*"01234"]
    locate(s3_bucket).remove_folder()
    assert not locate(s3_bucket).is_dir()


def test_changes_at_one_time_all_count(store):
    lines = append_at_one_time(f"{store}/lines", 6)
    assert sorted(lines) == [b"%d" % n for n in range(6)]


def test_a_zip_archive_is_read_by_ranges(store):
    photos = {f"images/ü {number}.jpg": os.urandom(5000) for number in range(5)}
    put(f"{store}/photos.zip", packed(photos))
    opened = open_photos(f"{store}/photos.zip/images")
    assert {f"images/{name}": opened.read(name) for name in opened.listing()} == photos


def test_snapshots_are_kept_in_any_store(store, tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work/network").write_bytes(b"weights")
    for _ in range(3):
        Snapshots(locate(f"{store}/work")).keep(tmp_path / "work")
    assert len(listing(f"{store}/work")) == 2
    assert Snapshots(locate(f"{store}/work")).restore(tmp_path / "again")
    assert (tmp_path / "again/network").read_bytes() == b"weights"


@pytest.mark.parametrize(
    "act",
    [
        lambda store: read_bytes(f"{store}/a"),
        lambda store: find_bytes(f"{store}/a"),
        lambda store: listing(f"{store}/a"),
        lambda store: put(f"{store}/a", b"few"),
        lambda store: put(f"{store}/a", bytes(20 << 20)),
        lambda store: rewrite(f"{store}/a", lambda old: b""),
    ],
)
def test_a_missing_bucket_is_named_and_not_made(store, act):
    locate(f"{store}-none/a").parent.mkdir(parents=True, exist_ok=True)
    with pytest.raises(UserError, match="there is no such bucket; create it") as caught:
        act(f"{store}-none")
    assert not isinstance(caught.value.__cause__, AssertionError)


def test_what_is_missing_is_named(store):
    with pytest.raises(UserError, match="no such file; make it") as caught:
        read_bytes(f"{store}/none", fix="make it")
    assert caught.value.where == f"{store}/none"
    with pytest.raises(UserError, match="no such file or folder"):
        listing(f"{store}/none")


def test_a_writer_that_is_killed_leaves_no_object(store):
    script = (
        "import os, signal, sys\n"
        "from bodyposenet.common.storage.files import whole_file\n"
        "with whole_file(sys.argv[1]) as file:\n"
        "    file.write(bytes(20 << 20))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, f"{store}/file"], capture_output=True)
    assert done.returncode == -9
    assert find_bytes(f"{store}/file") is None


def test_a_server_that_nobody_runs_is_given_up_soon(request, store_kind, monkeypatch):
    """With the variable to look at, and nothing of the keys."""
    monkeypatch.setattr(patience, "PATIENCE", 0.1)
    address = request.getfixturevalue(store_kind)
    lead(store_kind, monkeypatch, f"http://127.0.0.1:{free_port()}")
    for act in (lambda: read_bytes(f"{address}/a"), lambda: listing(address), lambda: put(f"{address}/a", b"")):
        with pytest.raises(PassingError, match=rf"^{address}.* does not answer .*{ENDPOINTS[store_kind]}") as caught:
            act()
        assert "secret" not in str(caught.value)


def lead(kind, monkeypatch, url):
    """Have a store's requests go to an address."""
    monkeypatch.setenv(ENDPOINTS[kind], connection(url) if kind == CONNECTION else url)


@contextlib.contextmanager
def disturbed(kind, monkeypatch, faults):
    """Have a store's requests go through a proxy that disturbs them."""
    given = os.environ[ENDPOINTS[kind]]
    url = re.search(r"BlobEndpoint=(http://[^/]+)", given)[1] if kind == CONNECTION else given
    with faulty_proxy(url, faults) as proxy, monkeypatch.context() as patch:
        lead(kind, patch, proxy.url)
        yield


def test_what_is_disturbed_is_done_again(request, store_kind, monkeypatch, soon):
    """Connections are reset before and after the server did what it was asked, it is busy, and answers are cut."""
    address = request.getfixturevalue(store_kind)
    large = os.urandom(1 << 20) * 9
    # Google's emulator has forgotten an upload that is finished, where the service itself has not
    faults = Faults(seed=1, share=0.3, most=12, forgetful=store_kind == "bucket")
    with disturbed(store_kind, monkeypatch, faults):
        put(f"{address}/large", large)
        for number in range(6):
            put(f"{address}/few/{number}", b"%d" % number)
        assert read_bytes(f"{address}/large") == large
        assert {name: read_bytes(f"{address}/few/{name}") for name in listing(f"{address}/few")} == {
            str(number): b"%d" % number for number in range(6)
        }
        rewrite(f"{address}/few/0", lambda old: (old or b"") + b"!")
        locate(f"{address}/few/1").unlink()
    assert read_bytes(f"{address}/few/0") == b"0!"
    assert len(faults.done) > 4


def test_a_server_that_stays_busy_is_told(request, store_kind, monkeypatch, soon):
    address = request.getfixturevalue(store_kind)
    with disturbed(store_kind, monkeypatch, lambda _: "busy"):
        for act in (lambda: read_bytes(f"{address}/a"), lambda: listing(address), lambda: put(f"{address}/a", b"")):
            with pytest.raises(PassingError, match=f"^{address}.*refuses.*run it again later"):
                act()


def test_without_its_library_a_store_is_refused_with_the_extra_to_install():
    script = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(['gcsfs', 'gcsfs.core', 's3fs', 'adlfs']))\n"
        "from bodyposenet.common.errors import UserError\n"
        "from bodyposenet.common.storage.location import locate\n"
        "for address in ('gs://bucket/a', 's3://bucket/a', 'abfs://bucket/a'):\n"
        "    try:\n"
        "        locate(address)\n"
        "    except UserError as error:\n"
        "        print(error)\n"
        "locate('https://host/a')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "gs://bucket/a: gs:// needs gcsfs; pip install 'bodyposenet[gcs]'",
        "s3://bucket/a: s3:// needs s3fs; pip install 'bodyposenet[s3]'",
        "abfs://bucket/a: abfs:// needs adlfs; pip install 'bodyposenet[azure]'",
    ]


def refused(status, code, said):
    """What an S3 server says where it will not do something."""
    body = f"<Error><Code>{code}</Code><Message>{said}</Message></Error>".encode()

    def answer(handler):
        handler.answer(status, body, {"Content-Type": "application/xml"})
        return True

    return answer


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (403, "AccessDenied", r"permission denied \(no, no\); check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        (403, "SignatureDoesNotMatch", r"permission denied \(no, no\)"),
        (400, "AuthorizationHeaderMalformed", "in another region: no, no; set AWS_DEFAULT_REGION"),
        (400, "InvalidBucketName", "refuses: no, no"),
    ],
)
def test_what_an_s3_server_says_is_told(tmp_path, s3_bucket, monkeypatch, status, code, message):
    with web_server(tmp_path) as server:
        server.meddle = refused(status, code, "no, no")
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        for act in (lambda: listing("s3://bucket/a"), lambda: read_bytes("s3://bucket/a")):
            with pytest.raises(UserError, match=f"^s3://bucket/a: .*{message}"):
                act()


def test_without_an_account_azure_is_refused_with_the_variables_to_set(monkeypatch):
    for name in [name for name in os.environ if name.startswith("AZURE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AZURE_STORAGE_ANON", "true")
    with pytest.raises(AwayError, match=r"no account for this store: .*; set AZURE_STORAGE_CONNECTION_STRING"):
        read_bytes("abfs://bucket/a")


@pytest.mark.parametrize("kind", ["IncompleteReadError", "DecodeError", "ServiceResponseError"])
def test_an_answer_of_azure_that_is_cut_is_asked_for_again(kind):
    from azure.core import exceptions

    failing = azure.judge(getattr(exceptions, kind)("Response payload is not completed"), where="abfs://bucket/a")
    assert (type(failing.told), failing.hopeful, failing.silent) == (PassingError, True, False)


@pytest.mark.azurite
def test_a_wrong_key_of_azure_is_told_and_not_shown(azure_bucket, azure_url, monkeypatch):
    wrong = connection(azure_url).replace("AccountKey=c2", "AccountKey=c3")
    (key,) = re.findall(r"AccountKey=([^;]+)", wrong)
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", wrong)
    with pytest.raises(UserError, match=f"^{azure_bucket}/a: permission denied .*; check AZURE_STORAGE_CONN") as caught:
        read_bytes(f"{azure_bucket}/a")
    assert key[:12] not in str(caught.value)


def test_without_keys_public_buckets_can_be_read(s3_bucket, monkeypatch, tmp_path):
    put(f"{s3_bucket}/a", b"content")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with web_server(tmp_path) as server:
        server.meddle = refused(403, "AccessDenied", "not public")
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        with pytest.raises(UserError, match="not public; no keys were found: set AWS_ACCESS_KEY_ID"):
            read_bytes(f"{s3_bucket}/a")


def test_a_file_is_read_by_its_address(web, tmp_path):
    (tmp_path / "web/sub").mkdir()
    (tmp_path / "web/sub/ü 1.json").write_bytes(b'{"a": 1}')
    (tmp_path / "web/empty").touch()
    for address in (f"{web.url}/sub/ü 1.json", f"{web.url}/sub/%C3%BC%201.json?signed=s3cret"):
        place = locate(address)
        assert read_bytes(address) == b'{"a": 1}'
        assert (place.name, place.suffix, place.count_bytes()) == ("ü 1.json", ".json", 8)
        assert [place.fetch(*span) for span in ((2, 3), (5, 99), (50, 60))] == [b"a", b" 1}", b""]
        assert place.is_file()
        with place.open_stream() as file:
            assert json.load(file) == {"a": 1}
        assert pickle.loads(pickle.dumps(place)) == place
    assert str(locate(f"{web.url}/sub?signed=s3cret") / "ü 1.json") == f"{web.url}/sub/%C3%BC%201.json?signed=s3cret"
    assert read_bytes(f"{web.url}/empty") == b""
    assert find_bytes(f"{web.url}/none") is None
    version = locate(f"{web.url}/empty").find_version()
    (tmp_path / "web/empty").write_bytes(b"more")
    assert locate(f"{web.url}/empty").find_version() != version


def test_photos_of_an_archive_are_read_by_ranges_from_a_web_server(web, tmp_path):
    photos = {f"images/ü {number}.jpg": os.urandom(5000) for number in range(5)}
    (tmp_path / "web/photos.zip").write_bytes(packed(photos))
    opened = open_photos(f"{web.url}/photos.zip/images?signed=s3cret")
    assert {f"images/{name}": opened.read(name) for name in opened.listing()} == photos
    assert {path for path in web.asked if path.endswith("?signed=s3cret")} == {*web.asked}


@pytest.mark.parametrize(
    "act",
    [
        lambda url: put(f"{url}/a?signed=s3cret", b""),
        lambda url: rewrite(f"{url}/a?signed=s3cret", lambda old: b""),
        lambda url: locate(f"{url}/a?signed=s3cret").mkdir(parents=True, exist_ok=True),
        lambda url: listing(f"{url}/a?signed=s3cret"),
        lambda url: open_photos(f"{url}/a?signed=s3cret").listing(),
        lambda url: make_dataset_spec(f"{url}/a?signed=s3cret"),
    ],
)
def test_a_web_server_is_neither_listed_nor_written(web, act):
    with pytest.raises(UserError, match=r"can only be read; write to a disk, or|has no list of files; name") as caught:
        act(web.url)
    assert "s3cret" not in str(caught.value)
    assert str(caught.value).startswith(f"{web.url}/a: ")


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (403, r"permission denied \(403 Forbidden\); give an address"),
        (400, "refuses: 400 Bad Request"),
        (503, "refuses: 503"),
    ],
)
def test_what_a_web_server_says_is_told_without_secrets(web, soon, status, message):
    web.meddle = lambda handler: handler.answer(status, b"") or True
    with pytest.raises(UserError, match=f"^{web.url}/a: .*{message}") as caught:
        read_bytes(f"{web.url}/a?signed=s3cret")
    assert "s3cret" not in str(caught.value)


def test_a_moved_file_is_followed_but_not_to_where_anybody_reads_along(web, tmp_path):
    (tmp_path / "web/a").write_bytes(b"here")
    moves = {"/old": "/a", "/out": "http://192.0.2.1/a", "/round": "/round"}

    def move(handler):
        if handler.path not in moves:
            return False
        handler.answer(302, b"", {"Location": moves[handler.path]})
        return True

    web.meddle = move
    assert read_bytes(f"{web.url}/old") == b"here"
    with pytest.raises(UserError, match="read from this machine alone"):
        read_bytes(f"{web.url}/out")
    with pytest.raises(AwayError, match="refuses: 302"):
        read_bytes(f"{web.url}/round")


def test_a_server_without_ranges_serves_whole_files_alone(web, tmp_path):
    (tmp_path / "web/a").write_bytes(b"0123456789")
    web.meddle = lambda handler: handler.answer(200, b"0123456789") or True
    place = locate(f"{web.url}/a")
    assert (place.count_bytes(), place.fetch(), place.fetch(0, 4)) == (10, b"0123456789", b"0123")
    with pytest.raises(UserError, match="does not give parts of a file; download the archive"):
        place.fetch(3, 5)


def send_without_end(handler, sent, status, headers):
    """Answer with a body that the client ends, or 256 MB; note the bytes that it took."""
    handler.close_connection = True
    handler.send_response(status)
    for name, value in headers:
        handler.send_header(name, value)
    handler.end_headers()
    with contextlib.suppress(OSError):
        for _ in range(1 << 12):
            sent.append(handler.wfile.write(bytes(1 << 16)))
    return True


@pytest.mark.parametrize(
    ("status", "headers", "message"),
    [
        (200, (), "this file has more than 1,000,000 bytes"),
        (206, (("Content-Range", "bytes 0-9/10"),), "this file has more than 1,000,000 bytes"),
        (200, (("Content-Length", "999999999999"),), "this file has more than 1,000,000 bytes"),
        (404, (), "there is no such file"),
        (302, (("Location", "/round"),), "refuses: 302"),
        (400, (("Content-Length", "999999999999"),), "refuses: 400"),
    ],
)
def test_an_answer_without_an_end_is_given_up(web, status, headers, message):
    sent = []
    web.meddle = lambda handler: send_without_end(handler, sent, status, headers)
    with pytest.raises(UserError, match=message):
        read_bytes(f"{web.url}/a", most=1_000_000)
    assert 0 < sum(sent) < 200 << 20


def test_an_answer_that_drips_is_given_up(web, monkeypatch):
    def drip(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        with contextlib.suppress(OSError):
            while not web.over.wait(0.02):
                handler.wfile.write(b".")
                handler.wfile.flush()
        return True

    web.meddle, web.over = drip, threading.Event()
    monkeypatch.setattr(patience, "PATIENCE", 0.1)
    monkeypatch.setattr(web_requests, "ANSWER", 0.3)
    try:
        with pytest.raises(PassingError, match=r"a: the server does not answer \(.* bytes in .*\)"):
            read_bytes(f"{web.url}/a")
    finally:
        web.over.set()


@pytest.mark.parametrize("size", ["9" * 5000, "-1", "1e3", ""])
def test_a_size_that_is_none_is_refused(web, size):
    headers = {"Content-Range": f"bytes 0-0/{size}"}
    web.meddle = lambda handler: handler.answer(206, b"a", headers, size=1) or True
    place = locate(f"{web.url}/a")
    with pytest.raises(UserError, match="does not tell how large a file is"):
        place.count_bytes()


@pytest.mark.parametrize(
    "target",
    ["http://127.0.0.1:8080/a", "https://localhost/a", "https://[::1]/a", "file:///etc/passwd", "http://other.example/",
     "https://169.254.169.254/latest", "https://[fe80::1]/a", "https://127.1.2.3/a", "//127.0.0.1/a", "gs://b/a"],
)  # fmt: skip
def test_nobody_elsewhere_leads_to_this_machine(target):
    with pytest.raises(UserError):
        follow_move("https://some.example/dir/a", target)


def test_a_server_leads_to_its_own_files_and_to_others():
    assert follow_move("https://some.example/dir/a", "../b") == "https://some.example/b"
    assert follow_move("https://some.example/dir/a", "https://other.example/c") == "https://other.example/c"
    assert follow_move("http://localhost:80/dir/a", "http://127.0.0.1:81/c") == "http://127.0.0.1:81/c"


def test_a_certificate_that_nobody_signed_is_told(web, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(AwayError, match=r"certificate is not trusted .*; set SSL_CERT_FILE"):
        read_bytes(f"{web.url}/a")


def test_users_and_passwords_are_those_of_netrc(web, tmp_path, monkeypatch):
    (tmp_path / "web/a").write_bytes(b"content")
    with pytest.raises(UserError, match=r"holds no user and password here; put them in ~/.netrc") as caught:
        locate("https://me:s3cret@host/a")
    assert "s3cret" not in str(caught.value)
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password s3cret\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    seen = []
    web.meddle = lambda handler: seen.append(handler.headers["Authorization"])
    assert read_bytes(f"{web.url}/a") == b"content"
    assert seen == ["Basic bWU6czNjcmV0"]


def test_http_is_read_from_this_machine_alone(tmp_path):
    (tmp_path / "a").write_bytes(b"content")
    with web_server(tmp_path) as server:
        assert read_bytes(f"{server.url}/a") == b"content"
    with pytest.raises(UserError, match="http:// is read from this machine alone; give an https:// address"):
        locate("http://example.com/a")


def test_what_a_web_server_disturbs_is_read_again(web, web_certificate, tmp_path, soon):
    photos = {f"{number}.jpg": os.urandom(50_000) for number in range(20)}
    (tmp_path / "web/photos.zip").write_bytes(packed(photos))
    faults = Faults(seed=2, share=0.3, most=12, kinds=("reset", "busy", "cut"))
    with web_server(tmp_path / "web") as plain, faulty_proxy(plain.url, faults, web_certificate) as proxy:
        opened = open_photos(f"{proxy.url}/photos.zip")
        assert {name: opened.read(name) for name in opened.listing()} == photos
    assert len(faults.done) > 4
