"""Finds items out on request; it may die of one, and is then started again."""

from __future__ import annotations

import argparse
import traceback
from dataclasses import asdict
from typing import Any

from ..serving import serve_answers
from .discovery import SkipItemError
from .discovery.listed import ITEMS
from .place import Place


def find_out(name: str, place: Place) -> dict[str, Any]:
    """Return status, line, data and trace of one item, whatever it does short of ending the process."""
    try:
        found = asdict(ITEMS[name].find(place))
    except SkipItemError as missing:
        return {"status": "skip", "line": str(missing), "data": {}, "trace": ""}
    except Exception as error:  # noqa: BLE001 - that is what is to be found out
        line = f"{type(error).__name__}: {error}".splitlines()[0]
        return {"status": "fail", "line": line, "data": {}, "trace": traceback.format_exc()}
    passed = found.pop("passed")
    return {"status": "pass" if passed else "fail", **found, "trace": ""}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("device")
    device = parser.parse_args().device
    here = Place(device, device, small=device == "cpu")
    serve_answers(lambda request: find_out(request["do"], here))
