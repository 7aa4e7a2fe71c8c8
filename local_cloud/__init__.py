"""A cloud on one Linux machine, for the demo and the tests: a Pulumi engine, a Kubernetes control plane, nodes,
and stand-ins for the two provider plugins that no package registry ships."""
