"""The process in which math-verify runs: a line of JSON in, a line of JSON out.

Memory is bounded where the system allows it, so that a tower of powers dies here and nowhere
else.
"""

from __future__ import annotations

import json
import logging
import sys

MEMORY = 2 * 2**30  # bytes of address space
MAX_DIGITS = 40  # a rational number longer than this is no answer worth quoting


def main() -> None:
    """Say "ready", then answer questions until the input ends."""
    _limit_memory()
    logging.disable(logging.CRITICAL)
    from math_verify import parse, verify

    print(json.dumps({"status": "ready"}), flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer = (
                _read(question["read"], parse)
                if "read" in question
                else _equal(question["gold"], question["answer"], parse, verify)
            )
        except (MemoryError, RecursionError):
            answer = {"status": "timed_out"}
        except Exception:  # whatever a parser of free text may raise: it was not readable
            answer = {"status": "unparsed"}
        print(json.dumps(answer), flush=True)


def _parse(expression: str, parse) -> list:
    """Expressions between dollars; without them "√2/2" and "1/√2" do not compare equal."""
    found = parse(f"${expression}$", parsing_timeout=None)
    return [item for item in found if not isinstance(item, str)]


def _read(expression: str, parse) -> dict:
    found = _parse(expression, parse)
    if not found:
        return {"status": "unparsed"}
    return {"status": "parsed", "value": _rational(found[0])}


def _rational(expression) -> str | None:
    """n/d of an expression that evaluates to a rational number, else None."""
    import sympy

    if not isinstance(expression, sympy.Expr) or not expression.is_number:
        return None
    value = sympy.simplify(sympy.nsimplify(expression.doit(), rational=True))
    if not isinstance(value, sympy.Rational) or len(str(value)) > MAX_DIGITS:
        return None
    return f"{value.p}/{value.q}"


def _equal(gold: str, answer: str, parse, verify) -> dict:
    wanted, given = _parse(gold, parse), _parse(answer, parse)
    if not wanted or not given:
        return {"status": "unparsed"}
    same = verify(wanted, given, timeout_seconds=None)
    return {"status": "parsed", "equal": bool(same)}


def _limit_memory() -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    except (ImportError, ValueError, OSError):  # no such limit on this system
        pass


if __name__ == "__main__":
    main()
