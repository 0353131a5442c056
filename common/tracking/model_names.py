"""Model names: what MLflow takes as the name of a registered model and of the logged models behind it."""

from bodyposenet.common.errors import UserError

REFUSED = "/:.%\"'"  # the first two in registered models, all of them in logged ones


def tell_name_fault(name: str) -> str:
    """Say what is wrong with the name of a model; nothing where MLflow takes it."""
    if not name.strip():
        return "a registered model needs a name"
    wrong = " ".join(dict.fromkeys(mark for mark in name if mark in REFUSED))
    return f"MLflow takes no model named {name!r}: leave out {wrong}" if wrong else ""


def require_model_name(name: str) -> None:
    """Refuse a name that MLflow would refuse at the end of a run.

    Raises:
        UserError: It would.
    """
    fault = tell_name_fault(name)
    if fault:
        raise UserError(fault, where="model_name", fix="write letters, digits, dashes and underscores")
