"""The Kubernetes API: a client from a kubeconfig, and collections that are kept up to date by watches.

Used by `waiting`, `nodes.existing` and `kaito status`. Objects are plain dicts. The `kubernetes` package takes half a
second to import, so it is imported when the first client is made.
"""

from kaito_components.live.cluster.client import Cluster, Query, Refused, Unreachable
from kaito_components.live.cluster.kubeconfig import default_namespace
from kaito_components.live.cluster.watching import Watches

__all__ = ["Cluster", "Query", "Refused", "Unreachable", "Watches", "default_namespace"]
