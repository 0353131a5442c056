"""Conversions from and to a store that are killed, or whose requests are disturbed, held to one that nobody disturbed.

Whatever talks to a store does so in a process forked for it: the clients have threads, which do not outlive a fork.
"""

import contextlib
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from support.archives import packed
from support.azure_server import azure_server, connection, make_container
from support.coco_files import annotation, image, write_dataset
from support.faulty_proxy import FAULTS, Faults, faulty_proxy
from support.gcs_server import make_bucket, storage_server
from support.s3_server import KEYS, make_s3_bucket, s3_server
from support.web_server import make_certificate, web_server

from bodyposenet.common.data.conversion import shard_plan
from bodyposenet.common.data.conversion.convert import convert_dataset
from bodyposenet.common.storage.files import listing, read_bytes, whole_file
from bodyposenet.common.storage.location import locate
from bodyposenet.common.storage.stores import patience

BOX = (2, 2, 40, 34)
PHOTOS, PIECE = 60, 4
SHARE = 0.06  # of the requests that are disturbed


@dataclass(frozen=True)
class StoreBench:
    """A dataset in a store, a place for its records, and the records that must come out.

    Attributes:
        spec: The dataset.
        output: Where its records go; on a disk, where the store is only read.
        wanted: Their shards' bytes, by name.
        url: Of the store's server, by http.
        lead: Given the address of a server, the environment that has the store's requests go there, and the spec.
        kinds: Of faults that the server is up to.
        forgetful: See :class:`Faults`.
        certificate: What a proxy to the server is to show.
    """

    spec: object
    output: str
    wanted: dict[str, bytes]
    url: str
    lead: Callable[[str], tuple[dict[str, str], object]]
    kinds: tuple[str, ...] = FAULTS
    forgetful: bool = False
    certificate: Path | None = None

    def convert(self, spec: object) -> None:
        """Convert the dataset, in this process."""
        convert_dataset(spec, self.output, shards=(2, 0))

    def check(self) -> None:
        """Raise if the records are not those that must come out, or something else was left."""
        assert {name: read_bytes(f"{self.output.rpartition('/')[0]}/{name}") for name in self.wanted} == self.wanted
        assert set(listing(self.output.rpartition("/")[0])) == {"manifest.json", *self.wanted}

    def clear(self) -> None:
        """Remove the records."""
        locate(self.output.rpartition("/")[0]).remove_folder()

    def kill(self, kills: int, seed: int) -> list[str]:
        """Kill so many conversions, each at a random moment, and run each again; return what was wrong then."""
        begun = time.monotonic()
        assert run(lambda: self.convert(self.spec)) == run(self.check) == 0
        seconds = time.monotonic() - begun
        generator, wrong, killed = random.Random(seed), [], 0
        while killed < kills:
            assert run(self.clear) == 0
            moment = generator.uniform(0.1, 1.0) * seconds
            if run(lambda: self.convert(self.spec), kill_after=moment) != -signal.SIGKILL:
                continue  # it was done by then
            killed += 1
            if run(lambda: self.convert(self.spec)) or run(self.check):
                wrong.append(f"killed after {moment:.3f} s of {seconds:.3f}")
        return wrong

    def disturb(self, faults: int, seed: int) -> list[str]:
        """Convert again and again until so many requests were disturbed; return what was wrong then."""
        return ["disturbed"] if run(lambda: self._disturb(faults, seed)) else []

    def _disturb(self, faults: int, seed: int) -> None:
        patience.PAUSE = 0.02
        done, chosen = 0, []
        while done < faults:
            self.clear()
            choose = Faults(seed + done, SHARE, faults - done, self.kinds, forgetful=self.forgetful)
            with faulty_proxy(self.url, choose, self.certificate) as proxy:
                environment, spec = self.lead(proxy.url)
                os.environ.update(environment)
                self.convert(spec)
            os.environ.update(self.lead(self.url)[0])
            self.check()
            done += len(choose.done)
            chosen += choose.done
        print(f"  disturbed: { ({kind: chosen.count(kind) for kind in sorted(set(chosen))}) }", flush=True)


def run(act: Callable[[], object], kill_after: float | None = None) -> int:
    """Call a function in a process of its own; return its exit code, -9 if it was killed."""
    sys.stdout.flush()
    child = os.fork()
    if not child:
        code = 1
        try:
            act()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            sys.stdout.flush()
            os._exit(code)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _make_dataset(folder: Path) -> tuple[object, dict[str, bytes]]:
    people = [annotation(number, number, BOX) for number in range(PHOTOS)]
    spec = write_dataset(folder / "data", [image(number, size=(60, 80)) for number in range(PHOTOS)], people)
    shard_plan.PIECE = PIECE
    return spec, _convert_here(spec, folder / "wanted")


def _convert_here(spec: object, folder: Path) -> dict[str, bytes]:
    done = convert_dataset(spec, folder / "train", shards=(2, 0))
    return {path.name: path.read_bytes() for path in done.shards}


def _upload(folder: Path, address: str) -> None:
    for name in listing(folder):
        with whole_file(f"{address}/{name}") as file:
            file.write((folder / name).read_bytes())


@contextlib.contextmanager
def bucket_bench(kind: str, folder: Path) -> Iterator[StoreBench]:
    """A bench in a bucket, ``gs``, ``s3`` or ``abfs``, with its server."""
    servers = {"gs": storage_server, "s3": s3_server, "abfs": azure_server}
    makers = {"gs": make_bucket, "s3": make_s3_bucket, "abfs": make_container}
    leads = {
        "gs": lambda url: {"STORAGE_EMULATOR_HOST": url},
        "s3": lambda url: KEYS | {"AWS_ENDPOINT_URL": url},
        "abfs": lambda url: {"AZURE_STORAGE_CONNECTION_STRING": connection(url)},
    }
    local, wanted = _make_dataset(folder)
    locate(f"{kind}://chaos")  # imports the client once, for all processes; it connects to nothing yet
    with servers[kind](folder) as url:
        os.environ.update(leads[kind](url))
        assert run(lambda: makers[kind](url, "chaos")) == 0
        assert run(lambda: _upload(folder / "data", f"{kind}://chaos/data")) == 0
        spec = local.model_copy(update={"root_directory_path": f"{kind}://chaos/data"})
        output = f"{kind}://chaos/out/train"
        yield StoreBench(spec, output, wanted, url, lambda there: (leads[kind](there), spec), forgetful=kind == "gs")


@contextlib.contextmanager
def web_bench(folder: Path) -> Iterator[StoreBench]:
    """A bench with photos in an archive and annotations that are read by https; the records are on the disk."""
    local, _ = _make_dataset(folder)
    images = local.locate_half("train").images
    (folder / "data/photos.zip").write_bytes(packed({name: (images / name).read_bytes() for name in listing(images)}))
    half = local.train_data.model_copy(update={"images_root_dir_path": "photos.zip"})
    local = local.model_copy(update={"train_data": half})
    wanted = _convert_here(local, folder / "wanted_of_zip")
    certificate = make_certificate(folder)
    os.environ["SSL_CERT_FILE"] = str(certificate)
    reads, writes = os.pipe()
    server = os.fork()
    if not server:
        with web_server(folder / "data", certificate) as files, web_server(folder / "data") as plain:
            os.write(writes, f"{files.url} {plain.url}".encode())
            time.sleep(3600)
        os._exit(0)
    try:
        url, plain = os.read(reads, 200).decode().split()

        def lead(there: str) -> tuple[dict[str, str], object]:
            return {}, local.model_copy(update={"root_directory_path": there})

        out, kinds = str(folder / "out/train"), ("reset", "busy", "cut")
        yield StoreBench(lead(url)[1], out, wanted, plain, lead, kinds, certificate=certificate)
    finally:
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)
