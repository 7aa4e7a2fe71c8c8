"""The Pulumi program: the Workspaces of this stack's configuration."""

import pulumi

from kaito_components.config import StackConfig

for workspace in StackConfig.load().make():
    pulumi.export(
        workspace.pulumi_resource_name,
        {
            "endpoint": workspace.endpoint,
            "openai_base_url": workspace.openai_base_url,
            "model_name": workspace.model_name,
            "status": workspace.status,
            "node_pool": workspace.node_pool,
            "resources": workspace.resources,
        },
    )
