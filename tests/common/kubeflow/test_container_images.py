"""Container images: the names that an environment gives to those of component files."""

import pytest

from bodyposenet.common.errors import UserError
from bodyposenet.common.kubeflow.container_images import end_registry, rename_image

REGISTRY = {"BODYPOSENET_REGISTRY": "registry.example.com/vision/"}
WHOLE = {"BODYPOSENET_TRAIN_IMAGE": "here/mine@sha256:12"}


@pytest.mark.parametrize("text", ["registry.example.com/vision", "registry.example.com/vision/", " localhost:5000\n"])
def test_a_registry_has_its_slash_whether_it_is_written_or_not(text):
    wanted = f"{text.strip().rstrip('/')}/bodyposenet-train:1"
    assert rename_image("bodyposenet-train:1", {"BODYPOSENET_REGISTRY": text}) == wanted


@pytest.mark.parametrize("text", ["https://registry.example.com/", "a b/", "registry/Vision/", "a:b/", "/", "me@host/"])
def test_what_is_no_registry_is_refused(text):
    with pytest.raises(UserError, match="BODYPOSENET_REGISTRY: should be a registry, such as"):
        end_registry(text)


@pytest.mark.parametrize(
    ("image", "environment", "wanted"),
    [
        ("bodyposenet-train:0.1.0", {}, "bodyposenet-train:0.1.0"),
        ("far/away/bodyposenet-train:0.1.0", {}, "far/away/bodyposenet-train:0.1.0"),
        ("bodyposenet-train:0.1.0", REGISTRY, "registry.example.com/vision/bodyposenet-train:0.1.0"),
        ("far:5000/bodyposenet-deploy:0.0.9", REGISTRY, "registry.example.com/vision/bodyposenet-deploy:0.0.9"),
        ("bodyposenet-deploy@sha256:34", REGISTRY, "registry.example.com/vision/bodyposenet-deploy@sha256:34"),
        ("bodyposenet-train:0.1.0", REGISTRY | WHOLE, "here/mine@sha256:12"),
        ("bodyposenet-deploy:0.1.0", WHOLE, "bodyposenet-deploy:0.1.0"),
        ("python:3.11", REGISTRY, "python:3.11"),
        ("other/not-bodyposenet-train:1", REGISTRY, "other/not-bodyposenet-train:1"),
    ],
)
def test_an_image_of_ours_has_the_environment_s_registry_and_the_file_s_tag(image, environment, wanted):
    assert rename_image(image, environment) == wanted
