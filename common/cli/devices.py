"""Devices: TAO's launcher flags, and whether this machine has what they name."""

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click

from bodyposenet.common.cli.printing import note
from bodyposenet.common.errors import UserError
from bodyposenet.common.model.training.cluster import CONFIG, WORKERS, read_cluster


class MultiValueOption(click.Option):
    """An option that takes every value up to the next flag, as argparse's ``nargs="*"``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **(kwargs | {"multiple": True}))

    def takes(self, word: str) -> bool:
        """Whether ``word`` is one more value; a negative number is, where numbers are asked for."""
        return word.lstrip("-").isdigit() if self.type is click.INT else not word.startswith("-")


def spread(args: Sequence[str], params: Sequence[click.Parameter]) -> list[str]:
    """``-el a b`` as ``-el a -el b``, which click understands, for the options that are :class:`MultiValueOption`."""
    options = {
        _plain(name): option for option in params if isinstance(option, MultiValueOption) for name in option.opts
    }
    spread_args: list[str] = []
    name = ""
    for word in args:
        if _plain(word) in options:
            name = word
        elif name and options[_plain(name)].takes(word):
            spread_args += [name, word]
        else:
            name = ""
            spread_args.append(word)
    return spread_args


def _plain(name: str) -> str:
    """A flag with underscores for the dashes inside."""
    dashes = len(name) - len(name.lstrip("-"))
    return name[:dashes] + name[dashes:].replace("-", "_")


def _flag(kind: type[click.Option], *names: str, **kwargs: Any) -> Callable[[], click.Option]:
    return lambda: kind(list(names), **kwargs)


def _switch(name: str, **kwargs: Any) -> Callable[[], click.Option]:
    return _flag(click.Option, name, is_flag=True, default=None, **kwargs)


LAUNCH_FLAGS = {
    "gpus": _flag(click.Option, "--gpus", type=int, metavar="N", help="How many GPUs to train on.  [default: 1]"),
    "gpu_index": _flag(
        MultiValueOption, "--gpu_index", type=click.INT, metavar="N...", help="Which GPUs.  [default: the first ones]"
    ),
    "num_processes": _flag(
        click.Option,
        "-np",
        "--num_processes",
        type=int,
        metavar="N",
        help="As many as --gpus; one process drives all GPUs.",
    ),
    "use_amp": _switch("--use_amp", help="Compute in 16 bits where safe; train only."),
    "log_file": _flag(click.Option, "--log_file", metavar="FILE", help="Append all that is printed to this file, too."),
    "mpirun_arg": _flag(click.Option, "--mpirun-arg", hidden=True),
    "multi_node": _switch("--multi-node", help="Insist on several machines; train only."),
    "launch_cuda_blocking": _switch("--launch_cuda_blocking", hidden=True),
}


@dataclass(frozen=True)
class Devices:
    """What a verb may compute on.

    Attributes:
        gpus: How many GPUs.
        index: Which; empty are the first ones.
        processes: How many, as TAO counts; -1 as many as GPUs.
        use_amp: Compute in 16 bits.
        multi_node: Processes on several machines.
        blocking: CUDA calls return when they are done, to find errors.
    """

    gpus: int = 1
    index: tuple[int, ...] = ()
    processes: int = -1
    use_amp: bool = False
    multi_node: bool = False
    blocking: bool = False

    @classmethod
    def read(cls, launch: dict[str, Any]) -> "Devices":
        """The devices that the launcher's flags ask for; flags that were not given are None."""
        given = {
            "gpus": launch["gpus"],
            "index": launch["gpu_index"],
            "processes": launch["num_processes"],
            "use_amp": launch["use_amp"],
            "multi_node": launch["multi_node"],
            "blocking": launch["launch_cuda_blocking"],
        }
        return cls(**{name: value for name, value in given.items() if value is not None})

    def take(self, verb: str) -> None:
        """Check the devices and set the environment for them.

        Raises:
            UserError: They contradict each other, this machine has not got them, or ``verb`` cannot use them.
        """
        self._check_numbers(verb)
        self._check_index()
        self._check_presence()
        if self.multi_node:
            self._check_nodes(verb)
        if self.index:
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, self.index))
        if self.blocking:
            os.environ["CUDA_LAUNCH_BLOCKING"] = "1"

    def _check_numbers(self, verb: str) -> None:
        if self.gpus < 1:
            raise UserError(f"at least one device is needed (got {self.gpus})", where="--gpus", fix="use --gpus 1")
        if self.gpus > 1 and verb != "train":
            raise UserError(f"{verb} runs on one GPU (got {self.gpus})", where="--gpus", fix="use --gpus 1")
        if self.use_amp and verb != "train":
            raise UserError(f"{verb} has no mixed precision, only train", where="--use_amp", fix="leave it out")
        if self.processes != -1 and self.processes < 1:
            raise UserError(f"at least one is needed (got {self.processes})", where="--num_processes")
        if self.processes > 1 and self.gpus == 1:
            raise UserError(f"{self.processes} processes need more than one GPU", where="--num_processes")
        if self.processes not in (-1, self.gpus):
            problem = f"{self.processes} processes for {self.gpus} GPUs; one process drives them all"
            raise UserError(problem, where="--num_processes", fix="leave it out")

    def _check_index(self) -> None:
        if not self.index:
            return
        listed = " ".join(map(str, self.index))
        if len(self.index) != self.gpus:
            fix = f"name {self.gpus}, or use --gpus {len(self.index)}"
            raise UserError(f"{len(self.index)} GPUs are named for {self.gpus}", where="--gpu_index", fix=fix)
        if min(self.index) < 0 or len(set(self.index)) < len(self.index):
            raise UserError(f"GPUs are numbered from 0, and named once (got {listed})", where="--gpu_index")
        present = gpus_present()
        if present is None:
            note("note: no NVIDIA driver here, so --gpu_index has no effect")
        elif max(self.index) >= present:
            raise UserError(f"no such GPU (got {listed}); there are {present}", where="--gpu_index")

    def _check_presence(self) -> None:
        present = gpus_present() if self.gpus > 1 else None  # without a driver's word TensorFlow will say
        if present is not None and self.gpus > present:
            problem = f"{self.gpus} GPUs are asked for, and the driver lists {present}"
            raise UserError(problem, where="--gpus", fix=f"use --gpus {max(present, 1)}")

    def _check_nodes(self, verb: str) -> None:
        if verb != "train":
            raise UserError(f"{verb} runs on one machine", where="--multi-node", fix="leave it out")
        if not read_cluster(os.environ).shared:
            raise UserError(
                f"neither {CONFIG} nor {WORKERS} tells of other machines",
                where="--multi-node",
                fix=f"set {CONFIG}, or the variables that `python -m {read_cluster.__module__}` reads in a job's pods",
            )


def gpus_present() -> int | None:
    """How many GPUs the NVIDIA driver lists; None without a driver."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    listing = subprocess.run([tool, "-L"], capture_output=True, text=True, check=False)
    return sum(line.startswith("GPU ") for line in listing.stdout.splitlines())
