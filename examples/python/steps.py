"""A step does one thing, checks what came back and prints one line. The first mismatch ends the program with status 1."""

import sys
from collections.abc import Callable
from typing import Any


def step(name: str, action: Callable[[], str]) -> None:
    """Runs `action` and prints the line that it returns beside the step's name."""
    try:
        line = action()
    except Exception as error:  # Whatever went wrong, it must name the step and end with status 1.
        sys.exit(f"FAILED  {name}: {type(error).__name__}: {error}")
    print(f"ok  {name}: {line}", flush=True)


class Mismatch(Exception):
    """The network answered something else than it should."""


def expect_equal(what: str, actual: Any, expected: Any) -> None:
    if actual != expected:
        raise Mismatch(f"{what} is {actual!r}, expected {expected!r}")


def expect_true(complaint: str, condition: bool) -> None:
    if not condition:
        raise Mismatch(complaint)


def expect_error(what: str, kind: type[Exception], action: Callable[[], Any]) -> Any:
    """Returns the error of this kind that `action` ends with; it is a mismatch if there is none."""
    try:
        result = action()
    except kind as error:
        return error
    raise Mismatch(f"{what} must be refused, but returned {result!r}")
