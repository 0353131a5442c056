"""Base: how every component of this package is declared."""

import functools

from kfp import dsl

from bodyposenet.common.kubeflow import container_images

# The images hold this package and kfp itself, so nothing is installed when a task starts.
on_train_image = functools.partial(dsl.component, base_image=container_images.TRAIN_IMAGE, install_kfp_package=False)
on_deploy_image = functools.partial(dsl.component, base_image=container_images.DEPLOY_IMAGE, install_kfp_package=False)
