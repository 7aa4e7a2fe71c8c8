"""The C library's heap: what of freed memory it keeps and gives back. Called by build.py and fast_linear.py."""

import ctypes
import sys
from typing import Any

MALLOC_TRIM_THRESHOLD, MALLOC_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt
KEPT_BYTES = 2**28
LARGEST_BLOCK_BYTES = 2**25


def _library(function: str) -> Any:
    """glibc, where it is the C library."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if hasattr(library, function) else None


def keep_freed() -> None:
    """Reuse the memory of activations: given back after each layer, it comes again as page faults in every prefill."""
    if library := _library("mallopt"):
        library.mallopt(MALLOC_TRIM_THRESHOLD, KEPT_BYTES)
        library.mallopt(MALLOC_MMAP_THRESHOLD, LARGEST_BLOCK_BYTES)


def give_back() -> None:
    """Give back what is free now: a freed weight has no room for its own copy in a layout that must be aligned."""
    if library := _library("malloc_trim"):
        library.malloc_trim(0)
