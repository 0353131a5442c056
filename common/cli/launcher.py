"""Launcher: how a verb runs: its devices, its log file, its exit code and the last line that scripts look for."""

import contextlib
import errno
import os
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import click

from bodyposenet.common.cli.devices import LAUNCH_FLAGS, Devices, spread
from bodyposenet.common.cli.log_file import logging_to
from bodyposenet.common.cli.printing import note, print_document, say
from bodyposenet.common.errors import UserError
from bodyposenet.common.exits import tell
from bodyposenet.common.machine.home import name_folders
from bodyposenet.common.machine.imports import leave_greetings_out, skip_plugins
from bodyposenet.common.storage.errors import in_bucket, translate_errors
from bodyposenet.common.storage.location import Location, locate

if TYPE_CHECKING:
    from bodyposenet.common.tracking import TrackedRun

RESULTS = "bodyposenet.results_dir"
RESULTS_FLAG = "results_dir"
UPLOAD = "Copy the folder of -r to a store when the verb is done: gs://, s3:// or abfs://."
LAUNCH = "bodyposenet.launch"


class RemainsError(UserError):
    """The verb did what this machine can; the message says what to do on another one. Exit 3."""

    exit_code = 3


class ErrorHandlingCommand(click.Command):
    """A command whose users' errors are told without a traceback."""

    def invoke(self, ctx: click.Context) -> None:
        """Run the command; end with the exit code of what went wrong."""
        code = guard(ctx, lambda: click.Command.invoke(self, ctx))
        if code:
            ctx.exit(code)


class Verb(click.Command):
    """A command with TAO's launcher flags and status line; users' errors are told without a traceback."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += [make() for make in LAUNCH_FLAGS.values()]
        if any(parameter.name == RESULTS_FLAG for parameter in self.params):
            self.params.append(click.Option(["--upload"], metavar="ADDRESS", help=UPLOAD))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Let the options of several values take them all, as argparse does."""
        return super().parse_args(ctx, spread(args, self.params))

    def invoke(self, ctx: click.Context) -> None:
        """Run the verb; end with TAO's status line and the exit code."""
        before = ctx.find_root().obj or {}
        given = {name: ctx.params.pop(name) for name in LAUNCH_FLAGS}
        upload = ctx.params.pop("upload", None)
        launch = {name: before.get(name) if value in (None, ()) else value for name, value in given.items()}
        ctx.meta[LAUNCH] = launch
        with logging_to(launch["log_file"], "DEBUG" if ctx.params.get("verbose") else ctx.params.get("log_level")):
            code = guard(ctx, lambda: self._run(ctx, launch, upload))
            with contextlib.suppress(OSError):  # how it ended stands fast, though nobody reads this or its disk is full
                note(f"Execution status: {'FAIL' if code else 'PASS'}")
        if code:
            ctx.exit(code)

    def _run(self, ctx: click.Context, launch: dict[str, Any], upload: str | None) -> None:
        name_folders()
        skip_plugins()
        leave_greetings_out()
        os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")  # damaged photos are told with their names, by the verb
        Devices.read(launch).take(str(self.name))
        with _uploading(ctx, upload):
            super().invoke(ctx)


@contextlib.contextmanager
def _uploading(ctx: click.Context, address: str | None) -> Iterator[None]:
    """Copy the results folder to a store after the block, if an address is given; whether that can be is seen before.

    A dry run sees it, too, and copies nothing.

    Raises:
        UserError: The address is none that results can go to, no folder is named, or a file cannot be copied.
    """
    if not address:
        yield
        return
    from bodyposenet.common.storage.upload import find_target, upload_folder

    named = ctx.params.get(RESULTS_FLAG)
    if named is None or in_bucket(named):
        raise UserError("which folder is to be copied?", where="--upload", fix="name one on a disk with -r")
    target = find_target(address)
    yield
    if ctx.params.get("dry_run"):
        say(f"would upload what is in {named} then to {target}", upload_to=target)
        return
    folder = ctx.meta.get(RESULTS)
    if folder is not None:  # else nothing was written
        count = upload_folder(Path(str(folder)), target)
        say(f"uploaded {count} files to {target}", uploaded_files=count, uploaded_to=target)


def guard(ctx: click.Context, run: Callable[[], object]) -> int:
    """Call ``run``, tell what goes wrong on stderr and in status.json, and return the exit code."""
    try:
        with print_document(ctx):
            run()
    except (click.ClickException, click.exceptions.Exit):
        raise
    except BaseException as error:
        if isinstance(error, OSError) and error.errno == errno.EPIPE:
            raise  # whoever read our output has gone; click ends quietly
        code, message = tell(error)
        with contextlib.suppress(OSError):
            note(message)
        _note_failure(ctx, error, message)
        return code
    return 0


@overload
def results_dir(given: str | Path | None, otherwise: Path) -> Path: ...


@overload
def results_dir(
    given: str | Path | Location | None, otherwise: Path | Location, *, bucket: Literal[True]
) -> Location: ...


def results_dir(
    given: str | Path | Location | None, otherwise: Path | Location, *, bucket: bool = False
) -> Path | Location:
    """The verb's results folder, made if need be; a failure is noted in its ``status.json``.

    Args:
        given: What the command line says.
        otherwise: The folder where it says nothing: that of the output.
        bucket: The verb can write to a bucket.

    Raises:
        UserError: The folder cannot be made, or is in a bucket and the verb cannot write there.
    """
    folder = locate(given or otherwise)
    if folder.remote and not bucket:
        raise UserError("this verb writes to a disk only", where=str(folder), fix="give a local folder with -r")
    with translate_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    click.get_current_context().meta[RESULTS] = folder
    return folder


@contextlib.contextmanager
def task(name: str, folder: Path | Location, *, status: bool = True) -> "Iterator[TrackedRun]":
    """Track a verb in MLflow where that is set up, and in status.json; temporary folders of killed ones go before.

    Args:
        name: The verb.
        folder: Its results folder.
        status: Write STARTED and SUCCESS lines; some library functions write their own.
    """
    from bodyposenet.common.storage.locking import sweep_scratch
    from bodyposenet.common.storage.status_log import StatusLog
    from bodyposenet.common.tracking import task_run

    sweep_scratch()
    log = StatusLog(folder)
    if status:
        log.write("STARTED", message=f"Starting {name}")
    kept = Path() if in_bucket(folder) else Path(str(folder))
    with task_run(name, buffer=kept) as run:  # a bucket takes no lines one by one
        yield run
    if status:
        log.write("SUCCESS", message=f"{name} finished")


def launch_options() -> dict[str, Any]:
    """The launcher flags of the verb that runs: gpus, gpu_index, num_processes, use_amp, log_file."""
    return dict(click.get_current_context().meta.get(LAUNCH, {}))


def _note_failure(ctx: click.Context, error: BaseException, message: str) -> None:
    """A FAILURE line in the status.json of the results folder, where that is known."""
    folder = ctx.meta.get(RESULTS)
    if folder is None:
        return
    from bodyposenet.common.storage.status_log import StatusLog

    with contextlib.suppress(OSError, UserError):  # the disk that is full may be this one
        said = f"{ctx.command.name} was interrupted" if isinstance(error, KeyboardInterrupt) else message
        if message.startswith("Traceback"):
            said = traceback.format_exception_only(error)[-1].strip()
        StatusLog(folder).write("FAILURE", message=said)
