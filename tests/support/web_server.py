"""A web server on a free port of this machine: files of a folder, with ranges, ETags and a certificate of its own."""

import datetime
import http.server
import ipaddress
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from support.threaded_server import ThreadedServer, serving

Handler = http.server.BaseHTTPRequestHandler


def make_certificate(folder: Path) -> Path:
    """A key and the certificate for 127.0.0.1 that it signs itself, in one file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).add_extension(address, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(1))
    signed = builder.sign(key, hashes.SHA256())
    plain = serialization.Encoding.PEM
    made = folder / "certificate.pem"
    made.write_bytes(
        key.private_bytes(plain, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + signed.public_bytes(plain)
    )
    return made


class FileHandler(Handler):
    """Answers with files of the server's folder, or parts of them."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:  # noqa: N802
        self.server.asked.append(self.path)
        meddle = self.server.meddle
        if meddle is not None and meddle(self):
            return
        path = self.server.folder / unquote(urlsplit(self.path).path).lstrip("/")
        if not path.is_file():
            self.answer(404, b"none")
            return
        size, changed = path.stat().st_size, path.stat().st_mtime_ns
        tag = {"ETag": f'"{changed:x}-{size:x}"'}
        asked = self.headers.get("Range")
        if not asked:
            self.answer(200, path.read_bytes(), tag)
            return
        first, _, last = asked.removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last or size) + 1, size)
        if start >= size:
            self.answer(416, b"", {"Content-Range": f"bytes */{size}"})
            return
        with path.open("rb") as file:
            file.seek(start)
            content = file.read(end - start)
        self.answer(206, content, {**tag, "Content-Range": f"bytes {start}-{end - 1}/{size}"})

    def answer(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, *, size: int | None = None
    ) -> None:
        """Answer; with another size than the body has the answer is cut."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if size is None else size))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class FileServer(ThreadedServer):
    """Serves a folder.

    Attributes:
        folder: Of the files.
        asked: Paths that were asked for, in order.
        meddle: Answers a request in place of the server, if it wants to.
    """

    def __init__(self, folder: Path, certificate: Path | None) -> None:
        super().__init__(FileHandler, certificate)
        self.folder, self.meddle = folder, None
        self.asked: list[str] = []


def web_server(folder: Path, certificate: Path | None = None) -> AbstractContextManager[FileServer]:
    """Serve the files of a folder; by https, where there is a certificate."""
    return serving(FileServer(folder, certificate))
