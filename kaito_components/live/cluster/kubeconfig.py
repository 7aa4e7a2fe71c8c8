"""From a kubeconfig to a client of the official package. Used by `client`."""

import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from kaito_components.errors import ClusterError

_loading = threading.Lock()  # the package loads its modules on first use, and remembers its files, without one


def from_text(text: str, context: str | None) -> Any:
    """An `ApiClient` from the content of a kubeconfig. No key of it stays on disk, no word of it is in an error."""
    import yaml

    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" (line {mark.line + 1})" if mark else ""
        raise ClusterError(f"the kubeconfig is not YAML{place}") from None
    if not isinstance(content, dict) or not content.get("clusters"):
        raise ClusterError("the kubeconfig names no cluster: give its content, not its path")

    def load(settings: Any, folder: str) -> None:
        from kubernetes.config.kube_config import load_kube_config_from_dict

        load_kube_config_from_dict(content, context, settings, persist_config=False, temp_file_path=folder)

    return _client(load)


def from_files(path: Path | None, context: str | None) -> Any:
    """An `ApiClient` from a kubeconfig file; None: from the files in KUBECONFIG, or ~/.kube/config, as kubectl does."""

    def load(settings: Any, folder: str) -> None:
        from kubernetes.config.kube_config import load_kube_config

        file = str(path) if path else None
        load_kube_config(file, context, settings, persist_config=False, temp_file_path=folder)

    return _client(load)


def default_namespace(path: Path | None, context: str | None) -> str:
    """The namespace of the kubeconfig's context, as kubectl uses it."""
    from kubernetes.config import ConfigException
    from kubernetes.config.kube_config import list_kube_config_contexts

    try:
        contexts, current = list_kube_config_contexts(str(path) if path else None)
    except ConfigException as error:
        raise _unusable(error) from None
    chosen = next((one for one in contexts if one["name"] == context), current)
    return str(chosen["context"].get("namespace") or "default")


def _client(load: Any) -> Any:
    with _loading:
        import kubernetes.watch.watch  # noqa: F401  for `client`, whose threads would load it at the same time
        from kubernetes.client import ApiClient, ApiException, Configuration  # noqa: F401  likewise
        from kubernetes.config import ConfigException

    settings = Configuration()
    settings.retries = False  # who waits decides how long
    try:
        with _loading, TemporaryDirectory() as folder:
            load(settings, folder)
            client = ApiClient(settings)
            _keep_in_memory(client)
    except (ConfigException, OSError, ValueError) as error:
        raise _unusable(error) from None
    return client


def _unusable(error: Exception) -> ClusterError:
    reason = str(error).splitlines() or [type(error).__name__]
    return ClusterError(f"the kubeconfig cannot be used: {reason[0]}")


def _keep_in_memory(client: Any) -> None:
    """Loads certificates and key into the TLS context of all connections, so that their files can go."""
    from urllib3.util.ssl_ import create_urllib3_context

    options = client.rest_client.pool_manager.connection_pool_kw
    context = create_urllib3_context(cert_reqs=options.get("cert_reqs"))
    authority, data = options.pop("ca_certs", None), options.pop("ca_cert_data", None)
    if authority or data:
        context.load_verify_locations(cafile=authority, cadata=data)
    else:
        context.load_default_certs()
    certificate, key = options.pop("cert_file", None), options.pop("key_file", None)
    if certificate:
        context.load_cert_chain(certificate, key)
    options["ssl_context"] = context
