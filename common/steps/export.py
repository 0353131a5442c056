"""Export step: a network as ONNX, in all forms that are wanted, and what is recorded of them."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bodyposenet.common.steps.calibrate import Calibration, run_calibrate
from bodyposenet.common.storage.model_key import key_in_use
from bodyposenet.common.storage.together import Together

if TYPE_CHECKING:
    from bodyposenet.common.deploy.export.fp16 import Half
    from bodyposenet.common.deploy.export.interface import Interface
    from bodyposenet.common.deploy.export.keras_to_onnx import Export
    from bodyposenet.common.deploy.quantization.quantize import Quantized
    from bodyposenet.common.tracking import TrackedRun


@dataclass
class ExportForms:
    """What an export came to; its paths are those where the files are in the end.

    Attributes:
        single: The network in 32 bits.
        half: In 16 bits, if that was wanted.
        quantized: In 8 bits, if that was wanted.
        reasons: File that says why convolutions stay in float, if that was searched.
        numbers: What is logged.
    """

    single: "Export"
    half: "Half | None" = None
    quantized: "Quantized | None" = None
    reasons: Path | None = None
    numbers: dict[str, float] = field(default_factory=dict)

    @property
    def networks(self) -> list[Path]:
        """The files with networks; the last is the one that an engine is to be built of."""
        quantized = [self.quantized.cpu_path, self.quantized.path] if self.quantized else []
        return [self.single.path, *([self.half.path] if self.half else []), *quantized]

    @property
    def files(self) -> list[Path]:
        """All files that belong to the network."""
        return [*self.networks, *([self.quantized.cache] if self.quantized else [])]


def run_export(
    run: "TrackedRun", source: Path, files: Together, *,
    interface: "Interface", half: bool = False, calibration: Calibration | None = None, opset: int = 17,
) -> ExportForms:  # fmt: skip
    """Export a network, round it, change its interface, and let all files appear; log numbers and files to the run.

    The order is the point: 16 and 8 bits come of the network as it was exported; inputs and outputs change last.

    Args:
        run: The tracked run.
        source: The Keras network.
        files: The outputs.
        interface: What inputs and outputs are to be like.
        half: Write a form in 16 bits, too.
        calibration: Write forms in 8 bits, too.
        opset: Of ONNX.

    Returns:
        What was written.

    Raises:
        UserError: See :func:`bodyposenet.common.deploy.export.keras_to_onnx.export_onnx`, and the forms' own.
    """
    from bodyposenet.common.deploy.export.interface import change_interface
    from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx

    single = export_onnx(source, files.stage(files.output), opset=opset)
    forms = ExportForms(single)
    forms.numbers |= {"bytes": float(single.bytes), "max_relative_error": single.max_relative_error}
    if half:
        _halve(forms)
    if calibration:
        _round(run, forms, files, calibration)
    for path in forms.networks:
        change_interface(path, interface)
    files.publish()
    final = _locate(forms, files, calibration)
    for path in final.files:
        run.log_artifact(path, "model")
    run.log_metrics(final.numbers)
    return final


def _halve(forms: ExportForms) -> None:
    """Add the form in 16 bits."""
    from bodyposenet.common.deploy.export.fp16 import export_half

    network = forms.single.path
    forms.half = export_half(network, network.with_suffix(f".fp16{_choose_ending(network)}"))
    forms.numbers |= {
        "fp16_bytes": float(forms.half.bytes),
        "fp16_max_relative_error": forms.half.max_relative_error,
    }


def _round(run: "TrackedRun", forms: ExportForms, files: Together, calibration: Calibration) -> None:
    """Add the forms in 8 bits."""
    from bodyposenet.common.deploy.onnx_file import write_whole

    network = forms.single.path
    output = network.with_suffix(f".int8{_choose_ending(network)}")
    writes = calibration.cache is not None and calibration.source.cache is None
    staged = replace(calibration, cache=files.stage(calibration.cache) if writes and calibration.cache else None)
    forms.quantized, budget, numbers = run_calibrate(run, network, output, staged)
    forms.numbers |= {f"int8_{name}": value for name, value in numbers.items()}
    if budget and budget.choice:
        forms.reasons = output.with_suffix(".kept.json")
        write_whole(forms.reasons, json.dumps(budget.to_dict(), indent=1).encode())


def _locate(forms: ExportForms, files: Together, calibration: Calibration | None) -> ExportForms:
    """Name the files where they are once they have appeared."""

    def final(path: Path) -> Path:
        return files.output.with_name(path.name)

    done = forms.quantized
    if done is not None and calibration is not None:
        cache = calibration.source.cache or calibration.cache or final(done.cache)
        done = replace(done, path=final(done.path), cpu_path=final(done.cpu_path), cache=cache)
    return replace(
        forms,
        single=replace(forms.single, path=files.output),
        half=replace(forms.half, path=final(forms.half.path)) if forms.half else None,
        quantized=done,
        reasons=final(forms.reasons) if forms.reasons else None,
    )


def _choose_ending(network: Path) -> str:
    """Choose the ending of the further forms of an ONNX file: its own where they are encrypted as it is."""
    return ".onnx" if key_in_use() is None else network.suffix
