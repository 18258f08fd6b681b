"""Where the checkout lies, and the folder of evidence beside it."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
REAL_DATA = SHARED / "data"
CHECK_RUN = SHARED / "check_run.py"
