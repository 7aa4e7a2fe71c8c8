"""What is built like the other programs, but only for real nodes. Called by services.py and node_images.py."""

from pathlib import Path

from local_cloud.go_build import Program
from local_cloud.toolchain import Toolchain

COREDNS, ORAS = "coredns", "oras"


def real_toolchain() -> Toolchain:
    """The programs that simulated nodes do not need."""
    program = Program(name=COREDNS, module="coredns", package=".", minutes=2)
    return Toolchain(Path(__file__).parent / "toolchain", (program,))


def puller_toolchain() -> Toolchain:
    """The puller of weights that come as an artefact."""
    program = Program(name=ORAS, module="oras", package="oras.land/oras/cmd/oras", minutes=1)
    return Toolchain(Path(__file__).parent / "pullers", (program,))
