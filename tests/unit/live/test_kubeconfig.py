"""A kubeconfig that cannot be used is said in one line that holds nothing of its content."""

import pytest

from kaito_components.errors import ClusterError
from kaito_components.live.cluster import Cluster

CLUSTERS = "clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [b\ntoken: s3cr3t: x", r"the kubeconfig is not YAML \(line 2\)"),
        ("/home/me/.kube/s3cr3t", "names no cluster: give its content, not its path"),
        ("", "names no cluster"),
        (CLUSTERS + "\nusers: [{name: u, user: {token: s3cr3t}}]", "the kubeconfig cannot be used: .*current-context"),
        (
            CLUSTERS + "\nusers: [{name: u, user: {client-key-data: s3cr3t!}}]"
            "\ncontexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x",
            "the kubeconfig cannot be used",
        ),
    ],
)
def test_a_broken_kubeconfig_is_explained_without_its_content(text: str, said: str) -> None:
    with pytest.raises(ClusterError, match=said) as error:
        Cluster.from_text(text)
    assert "s3cr3t" not in str(error.value) and "\n" not in str(error.value)


def test_a_context_that_is_not_there_is_named() -> None:
    text = CLUSTERS + "\ncontexts: [{name: x, context: {cluster: c}}]\ncurrent-context: x"
    with pytest.raises(ClusterError, match="other"):
        Cluster.from_text(text, "other")
