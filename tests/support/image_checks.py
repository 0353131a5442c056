"""What holds of every image: whose it is, who runs in it, how large it is, and what is not in it."""

import re

import bodyposenet

TOOLS = re.compile(r"(.*-)?(gcc|g\+\+|cc|c\+\+|cc1|cc1plus|clang|clang\+\+|ld|as|make|cmake|nvcc|rustc|go)(-[\d.]+)?")
PROGRAMS = "for folder in $(echo $PATH | tr : ' ') /usr/lib/gcc /usr/libexec; do ls $folder 2>/dev/null; done; true"


def assert_sound(client, image, recorded, *, most_bytes):
    """That an image is what its file promises."""
    config = image.attrs["Config"]
    labels = config["Labels"]
    assert labels["org.opencontainers.image.version"] == bodyposenet.__version__
    assert image.tags[0].endswith(f":{bodyposenet.__version__}")
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", labels["org.opencontainers.image.revision"])
    assert recorded == {"digest": image.id, "bytes": image.attrs["Size"]}
    assert recorded["bytes"] <= most_bytes
    assert config["User"] == "1000:1000"
    assert not config["Entrypoint"]
    assert said(client, image, "bpnet --version") == f"bpnet, version {bodyposenet.__version__}"
    assert said(client, image, "id -u") == "1000"
    programs = said(client, image, PROGRAMS).split()
    assert "python3" in programs
    assert [name for name in programs if TOOLS.fullmatch(name)] == []


def said(client, image, script, **options):
    """What a shell's script prints in a container without a network."""
    options = {"network_mode": "none", "remove": True, **options}
    return client.containers.run(image.id, ["sh", "-c", script], **options).decode().strip()
