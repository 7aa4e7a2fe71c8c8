"""A platform program that serves a small model beside its other resources."""

import pulumi

from kaito_components import Cluster, Workspace

config = pulumi.Config()
cluster = Cluster({"resource_group": config.require("resourceGroup"), "name": config.require("cluster")})

smollm = Workspace(
    "smollm2",
    {
        "cluster": cluster,
        "namespace": config.get("namespace") or "default",
        "resource": {"instance_type": "Standard_D8s_v5", "label_selector": {"match_labels": {"apps": "smollm2"}}},
        "inference": {"preset": {"name": "smollm2-135m-instruct"}},
        "image_registry": "example.azurecr.io/kaito",
    },
)

pulumi.export("url", smollm.openai_base_url)
pulumi.export("model", smollm.model_name)
pulumi.export("status", smollm.status)
