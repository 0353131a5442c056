"""A base image without a registry: this machine's Python and the few programs that a Dockerfile's lines call.

It stands in for ``python:3.11-slim-bookworm`` and has less in it: what builds on it will build on the real one. It also
knows how pip reaches its packages from here, which the Dockerfile must not.
"""

import io
import re
import ssl
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from shutil import which

PROGRAMS = (
    *("sh", "bash", "env", "ls", "cat", "cp", "mv", "rm", "ln", "mkdir", "rmdir", "chmod", "chown", "touch", "find"),
    *("grep", "sed", "cut", "head", "tail", "sort", "tr", "wc", "xargs", "du", "mktemp", "basename", "dirname"),
    *("readlink", "sleep", "id", "true", "false", "test", "echo", "printf", "uname"),
)
LIBRARIES = (
    *("libstdc++.so.6", "libgcc_s.so.1", "libz.so.1", "librt.so.1", "libdl.so.2", "libpthread.so.0", "libutil.so.1"),
    "libnss_dns.so.2",
)
FOLDERS = ("root", "proc", "sys", "dev", "run", "etc", "home", "var", "opt", "usr", "usr/bin", "usr/lib", "usr/local")
MERGED = {"bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib"}  # as Debian has them
SYSTEM_LIBRARIES = "usr/lib/x86_64-linux-gnu"
LEFT_OUT = re.compile(r"/(__pycache__|test|tests|idlelib|tkinter|turtledemo|lib2to3|config-[^/]*)(/|$)|\.a$")
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
CARRIED = {"index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout"}  # of pip's settings
TEXTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "etc/group": "root:x:0:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}


def import_base_image(docker: list[str], name: str) -> None:
    """Make the image ``name`` in the daemon that the command ``docker`` talks to."""
    settings = ["PATH=/usr/local/bin:/usr/bin", "LANG=C.UTF-8"]
    changes = [part for each in settings for part in ("--change", f"ENV {each}")]
    command = [*docker, "import", *changes, "--change", 'CMD ["python3"]', "-", name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        with tarfile.open(fileobj=process.stdin, mode="w|") as archive:
            write_root(archive)
        process.stdin.close()
    if process.returncode:
        raise RuntimeError(f"docker import ended with {process.returncode}")


def write_root(archive: tarfile.TarFile) -> None:
    """Write the whole file system."""
    for folder in (*FOLDERS, SYSTEM_LIBRARIES):
        archive.addfile(entry(folder, tarfile.DIRTYPE, 0o755))
    for folder in ("tmp", "var/tmp"):
        archive.addfile(entry(folder, tarfile.DIRTYPE, 0o1777))
    for link, target in MERGED.items():
        archive.addfile(entry(link, tarfile.SYMTYPE, link=target))
    for name, text in (TEXTS | {"etc/pip.conf": pip_settings()}).items():
        add_text(archive, name, text)
    add_file(archive, Path(ssl.get_default_verify_paths().cafile or f"/{CERTIFICATES}"), CERTIFICATES)
    programs = [Path(found) for found in map(which, PROGRAMS) if found]
    for program in programs:
        add_file(archive, program, f"usr/bin/{program.name}")
    add_python(archive)
    libraries = {path.name: path for path in [*named_libraries(), *needed(programs)]}  # one may have several paths
    for name, path in sorted(libraries.items()):
        add_file(archive, path, f"{SYSTEM_LIBRARIES}/{name}")
    loader = Path("/lib64/ld-linux-x86-64.so.2")
    add_file(archive, loader, f"usr/lib/{loader.name}")


def add_python(archive: tarfile.TarFile) -> None:
    """Copy the Python that the running environment was made from to ``/usr/local``, with pip and no other package."""
    prefix = Path(sys.base_prefix)
    if prefix in (Path("/usr"), Path("/")):
        raise RuntimeError("the base image needs a Python that has a folder of its own; this one is the system's")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    add_file(archive, prefix / "bin" / version, f"usr/local/bin/{version}")
    for link in ("python", "python3"):
        archive.addfile(entry(f"usr/local/bin/{link}", tarfile.SYMTYPE, link=version))
    for path in sorted(prefix.glob("lib/libpython*.so*")):
        add_file(archive, path, f"{SYSTEM_LIBRARIES}/{path.name}")
    packages = prefix / "lib" / version / "site-packages"
    wanted = [*packages.glob("pip"), *packages.glob("pip-*")]
    for path in sorted((prefix / "lib" / version).rglob("*")):
        inside = path.relative_to(prefix).as_posix()
        foreign = packages in path.parents and not any(path == top or top in path.parents for top in wanted)
        if path.is_file() and not foreign and not LEFT_OUT.search(f"/{inside}"):
            add_file(archive, path, f"usr/local/{inside}")


def needed(programs: list[Path]) -> Iterator[Path]:
    """The libraries that programs and Python's own modules are linked to."""
    modules = Path(sys.base_prefix).glob("lib/python3.*/lib-dynload/*.so")
    files = [*programs, Path(sys.executable).resolve(), *modules]
    told = subprocess.run(
        ["ldd", *map(str, files)], capture_output=True, text=True
    ).stdout  # ends with 1 if one is static
    for found in re.finditer(r"=> (/\S+)", told):
        if not found[1].startswith(sys.base_prefix):
            yield Path(found[1])


def named_libraries() -> Iterator[Path]:
    """Libraries that wheels and the name service open, and no program here is linked to."""
    paths = (Path("/") / SYSTEM_LIBRARIES / name for name in LIBRARIES)
    return (path for path in paths if path.exists())


def pip_settings() -> str:
    """This machine's way to its packages, as a ``pip.conf``; what names files of this machine is left out."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    pairs = re.findall(r"^(?:global|install|:env:)\.([\w-]+)='(.*)'$", listed.stdout, re.MULTILINE)
    kept = {name: value for name, value in pairs if name in CARRIED and "file:" not in value}
    lines = [f"{name} = {value}" for name, value in kept.items()]
    return "\n".join(["[global]", f"cert = /{CERTIFICATES}", *lines, ""])


def entry(name: str, kind: bytes, mode: int = 0o777, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.linkname = kind, mode, link
    return info


def add_text(archive: tarfile.TarFile, name: str, text: str) -> None:
    info = entry(name, tarfile.REGTYPE, 0o644)
    info.size = len(text.encode())
    archive.addfile(info, io.BytesIO(text.encode()))


def add_file(archive: tarfile.TarFile, path: Path, name: str) -> None:
    """Add what a path leads to, links followed."""
    real = path.resolve()
    info = entry(name, tarfile.REGTYPE, 0o755 if real.stat().st_mode & 0o100 else 0o644)
    info.size = real.stat().st_size
    with real.open("rb") as file:
        archive.addfile(info, file)
