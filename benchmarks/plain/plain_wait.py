"""The baseline's dynamic resource: it does nothing, and costs what any dynamic resource costs."""

from typing import Any

from pulumi.dynamic import CreateResult, Resource, ResourceProvider


class NoWaitProvider(ResourceProvider):
    """Creates at once."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult("done", props)


class NoWait(Resource, module="plain", name="NoWait"):
    """Takes the place of WorkspaceReady."""
