"""CoreDNS, built like the other programs but only where real nodes are wanted. Called by services.py."""

from pathlib import Path

from local_cloud.go_build import Program
from local_cloud.toolchain import Toolchain

COREDNS = "coredns"


def real_toolchain() -> Toolchain:
    """The programs that simulated nodes do not need."""
    program = Program(name=COREDNS, module="coredns", package=".", minutes=2)
    return Toolchain(Path(__file__).parent / "toolchain", (program,))
