"""How the API says no: one shape for problems and faults, never a traceback, never a secret."""

from typing import Any

from celadon.domain.problem import Fault, Problem, ProblemsError, TransientFault

UNKNOWN_SERVICE = 404
REFUSED = 409
PROBLEMS = 422
OUR_BUG = 500
FAULT = 503


class UnknownServiceError(ProblemsError):
    """Nothing is known under this name."""


def problem(of: Problem) -> dict[str, str]:
    """A problem as JSON."""
    return {"path": of.path, "found": of.found, "hint": of.hint}


def body(error: Exception) -> tuple[int, dict[str, Any]]:
    """HTTP status and JSON for an error. What is not a Problem or a Fault is our bug, and only named."""
    match error:
        case UnknownServiceError():
            return UNKNOWN_SERVICE, _problems(error, "unknown")
        case ProblemsError(refused=True):
            return REFUSED, _problems(error, "refused")
        case ProblemsError():
            return PROBLEMS, _problems(error, "problems")
        case TransientFault():
            return FAULT, _fault(error, retry_s=error.retry_s)
        case Fault():
            return FAULT, _fault(error, retry_s=None)
        case _:
            hint = "this is a bug of celadon; the daemon's log says more"
            found = {"what": f"unexpected {type(error).__name__}", "hint": hint, "retry_s": None}
            return OUR_BUG, {"error": {"kind": "bug", "problems": [], "fault": found}}


def _problems(error: ProblemsError, kind: str) -> dict[str, Any]:
    return {"error": {"kind": kind, "problems": [problem(p) for p in error.problems], "fault": None}}


def _fault(error: Fault, *, retry_s: float | None) -> dict[str, Any]:
    found = {"what": error.what, "hint": error.hint, "retry_s": retry_s}
    return {"error": {"kind": "fault", "problems": [], "fault": found}}
