"""The plugin: `python -m local_cloud.providers.kubernetes ENGINE_ADDRESS`."""

from local_cloud.providers.kubernetes.provider import KubernetesProvider
from local_cloud.providers.wire import serve

serve(KubernetesProvider())
