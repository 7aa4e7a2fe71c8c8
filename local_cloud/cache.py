"""Where built programs and instances lie. Called by the toolchain, the instances and the tests."""

import os
from pathlib import Path


def cache_root() -> Path:
    """The folder for everything that is built or run: `KAITO_CACHE`, or one under the user's home."""
    chosen = os.environ.get("KAITO_CACHE")
    return Path(chosen).absolute() if chosen else Path.home() / ".cache" / "kaito-components"
