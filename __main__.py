"""The Pulumi program: the Workspaces of this stack's configuration."""

import pulumi

from kaito_components.config import StackConfig

for name, value in StackConfig.load().make().items():
    pulumi.export(name, value)
