"""HTTP to a pod through the API server, as `kubectl port-forward` does it. Called by `kaito chat`."""

from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from kaito_components.errors import ClusterError


class PodConnection(HTTPConnection):
    """HTTP/1.1 with one port of one pod. Whoever may use it needs the right to create pods/portforward.

    Raises:
        ClusterError: the API server or the pod's node refuses.
    """

    def __init__(self, kubeconfig: Path | None, context: str | None, namespace: str, pod: str, port: int) -> None:
        super().__init__(f"{pod}.{namespace}", port)
        self._way = kubeconfig, context, namespace, pod

    def connect(self) -> None:
        from kubernetes import client, config
        from kubernetes.client import ApiException
        from kubernetes.stream import portforward

        kubeconfig, context, namespace, pod = self._way
        try:
            api = client.CoreV1Api(config.new_client_from_config(str(kubeconfig) if kubeconfig else None, context))
            ask: Any = api.connect_get_namespaced_pod_portforward
            forward = portforward(ask, pod, namespace, ports=str(self.port))
        except (ApiException, OSError) as refused:
            reason = getattr(refused, "reason", None) or refused
            raise ClusterError(f"pod {namespace}/{pod}: its port {self.port} cannot be reached: {reason}") from None
        self.sock = forward.socket(self.port)
