"""Errors: what a server of Kubeflow Pipelines refuses, told so that it can be mended."""

import json
import re
from typing import Any

from bodyposenet.common.errors import AwayError, UserError

TOKEN, TOKEN_FILE, COOKIES = "KFP_EXISTING_TOKEN", "KF_PIPELINES_SA_TOKEN_PATH", "KFP_COOKIES"
AUTHORITIES = "SSL_CERT_FILE"
# The server says of what sort a refusal is within its message; the last of these words counts. What a column of its
# database cannot hold is of the server's own sort, and the user's mistake.
SORT = re.compile(r"(Invalid ?Input ?Error|ResourceNotFoundError|Already exist error|InternalServerError): ", re.I)
MISSING = "resourcenotfounderror"  # the sort of what is not there
OWN = "internalservererror"  # the sort that is the server's own fault; the others are the user's
UNSTORED = re.compile(r"Failed to store (run|job) .*? to table: (.+)", re.DOTALL)
COLUMN = re.compile(r"(Data too long|Incorrect string value: \S+) for column \S*?(\w+)\W at row")
GONE = re.compile(r"scheduledworkflows\.kubeflow\.org \S+ not found")
LOGIN = f"put a token into {TOKEN}, or the cookies of a browser that is logged in into {COOKIES}"


class UnstoredError(AwayError):
    """The server has started what it was asked for, and has it in no list."""


class GoneError(UserError):
    """A recurring run has no ScheduledWorkflow any more: it never runs again, and can only be deleted."""


class MissingError(UserError):
    """The server has nothing of the id that it was asked for."""


def translate_refusal(error: Any, host: str) -> UserError:
    """What an answer with a code of 400 or more means."""
    said = _read_reason(error.body)
    if error.status == 401:
        return UserError("it does not know who asks (401)", where=host, fix=LOGIN)
    if error.status == 403:
        return UserError(
            f"permission denied (403{said})", where=host, fix="ask for the right, or name your --namespace"
        )
    if error.status == 404 and not said:
        return tell_of_page(host, " (404)")
    if not error.status:
        reason = str(error.reason).splitlines()[-1]
        return AwayError(
            f"no safe connection ({reason})", where=host, fix=f"name its authority's file in {AUTHORITIES}"
        )
    return _translate_failure(error.status, said, host)


def _translate_failure(status: int, said: str, host: str) -> UserError:
    """What the server's own words mean: they, and not the code, say whose mistake it was."""
    *_, sort, reason = ("", *SORT.split(said))
    unstored, column = UNSTORED.search(said), COLUMN.search(said)
    if unstored:
        what, kind = ("run", "workflows") if unstored[1] == "run" else ("schedule", "scheduledworkflows")
        why = f"{column[1]} for {column[2]}" if column else unstored[2]
        return UnstoredError(
            f"it has started this {what}, and cannot store it ({why})", where=host,
            fix=f"it is in no list: find it with `kubectl get {kind}`, and delete it there",
        )  # fmt: skip
    if GONE.search(said):
        return GoneError("its ScheduledWorkflow is gone", where=host, fix="delete it")
    if column:
        reason = f"{column[1]} for {column[2]}"
    if column or (sort and sort.lower() != OWN):
        refusal = MissingError if sort.lower() == MISSING else UserError
        return refusal(f"it refuses this: {reason.strip()}", where=host, fix="mend that, and run this again")
    told = f"{status}: {reason.strip(': ')}" if said else str(status)
    if status >= 500:
        return AwayError(f"it fails ({told})", where=host, fix="look at its log, and run this again")
    return UserError(f"it refuses this ({told})", where=host, fix="mend that, and run this again")


def _read_reason(body: Any) -> str:
    """``: reason`` of an answer in JSON, nothing of any other."""
    try:
        told = json.loads(body)
    except (TypeError, ValueError, RecursionError):
        return ""
    told = told if isinstance(told, dict) else {}
    reason = told.get("message") or told.get("error_message") or told.get("error") or ""
    return f": {reason}" if reason else ""


def translate_silence(error: Any, host: str) -> UserError:
    """Why there was no answer at all."""
    reason = getattr(error, "reason", None) or error
    if "redirect" in str(reason):
        return UserError("it sends us on to another page, most likely a login", where=host, fix=LOGIN)
    # The end of urllib3's message, without the name of the object that it speaks of
    said = str(reason).rpartition(": ")[2].strip(" )'\"") or type(reason).__name__
    return AwayError(
        f"Kubeflow Pipelines does not answer ({said})", where=host, fix="check the address, and that it runs"
    )


def tell_of_page(host: str, code: str = "") -> UserError:
    """What it means that a page for people answers, or nothing that the API knows."""
    return UserError(
        f"no API of Kubeflow Pipelines is here{code}", where=host,
        fix="give the address under which the API answers, such as https://HOST/pipeline; a login page answers so, too",
    )  # fmt: skip
