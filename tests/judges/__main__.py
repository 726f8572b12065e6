"""`python -m tests.judges`: all judges, none of which may be left out."""

from __future__ import annotations

import os
import sys

import pytest

from tests.judges.calling import REQUIRED

if __name__ == "__main__":
    os.environ[REQUIRED] = "1"
    sys.exit(pytest.main(["tests/judges", "-rs", *sys.argv[1:]]))
