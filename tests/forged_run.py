"""A run that somebody has changed, hashes and all."""

import hashlib
import json
from pathlib import Path

from linkodds.runs.run_directory import MANIFEST


def forge(path: Path, name: str, content: bytes) -> None:
    """Change or add a file and its hash with it, as somebody who builds a run by hand would."""
    (path / name).write_bytes(content)
    manifest = json.loads((path / MANIFEST).read_text())
    manifest["sha256"][name] = hashlib.sha256(content).hexdigest()
    (path / MANIFEST).write_text(json.dumps(manifest))
