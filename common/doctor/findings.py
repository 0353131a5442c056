"""Findings: all that the doctor looked at, as a page that people read."""

from dataclasses import dataclass

from bodyposenet.common.doctor.choices import Choices, describe_choices, examine_choices
from bodyposenet.common.doctor.compiled import Compiled, describe_compiled, examine_compiled
from bodyposenet.common.doctor.libraries import Libraries, describe_libraries, examine_libraries
from bodyposenet.common.doctor.line import PROBLEM, format_block
from bodyposenet.common.doctor.machine import Machine, describe_machine, examine_machine
from bodyposenet.common.doctor.services import Service, describe_services, examine_services

ABLE = f"The verbs can run here. Lines with {PROBLEM} say what is not as it might be."
UNABLE = f"No verb can run here before the lines with {PROBLEM} are seen to."


@dataclass(frozen=True)
class Findings:
    """What the doctor found.

    Attributes:
        able: Whether verbs can run at all: their modules are there, and a folder for temporary files.
        machine: Processor, memory, GPUs, folders.
        libraries: Versions and extras.
        services: MLflow and Kubeflow.
        choices: Precision and runners; None where a verb's own modules are missing.
        compiled: What numba has compiled; None likewise.
    """

    able: bool
    machine: Machine
    libraries: Libraries
    services: list[Service]
    choices: Choices | None
    compiled: Compiled | None


def examine() -> Findings:
    """Look at everything; ten seconds, most of them TensorFlow's start."""
    machine, libraries = examine_machine(), examine_libraries()
    whole = not libraries.missing
    return Findings(
        able=whole and machine.temporary_folder is not None,
        machine=machine,
        libraries=libraries,
        services=examine_services(),
        choices=examine_choices() if whole else None,
        compiled=examine_compiled() if whole else None,
    )


def to_text(findings: Findings) -> str:
    """Write the findings as a page, a block for each subject, and the conclusion."""
    blocks = [
        format_block("Machine", describe_machine(findings.machine)),
        format_block("Libraries", describe_libraries(findings.libraries)),
        format_block("Services", describe_services(findings.services)),
    ]
    if findings.choices:
        blocks.append(format_block("Taken here", describe_choices(findings.choices)))
    if findings.compiled:
        blocks.append(format_block("Compiled by numba", describe_compiled(findings.compiled)))
    return "\n\n".join([*blocks, ABLE if findings.able else UNABLE])
