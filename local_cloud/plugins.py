"""Puts the provider stand-ins where the Pulumi engine looks for plugins. Called by instance.py."""

import shlex
import sys
from importlib.metadata import version
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent
STAND_INS = {"kubernetes": "pulumi-kubernetes", "azure-native": "pulumi-azure-native"}
SCRIPT = """\
#!/bin/sh
# The stand-in for the {name} provider of the local cloud.
PYTHONPATH={checkout}${{PYTHONPATH:+:$PYTHONPATH}} exec {python} -m local_cloud.providers.{module} "$@"
"""


def install_stand_ins(pulumi_home: Path) -> None:
    """Writes one plugin folder per stand-in, under the version of the provider's installed SDK."""
    for name, distribution in STAND_INS.items():
        folder = pulumi_home / "plugins" / f"resource-{name}-v{version(distribution)}"
        folder.mkdir(parents=True, exist_ok=True)
        script = folder / f"pulumi-resource-{name}"
        text = SCRIPT.format(
            name=name,
            module=name.replace("-", "_"),
            checkout=shlex.quote(str(CHECKOUT)),
            python=shlex.quote(sys.executable),
        )
        script.write_text(text)
        script.chmod(0o755)
