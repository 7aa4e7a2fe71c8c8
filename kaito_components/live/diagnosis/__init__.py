"""What stands in the way of a Workspace, in words: `troubles(snapshot, goal)`.

Used by `status` (all of them) and `readiness` (those that will not pass by themselves end the wait). Pure.
"""

from kaito_components.live.diagnosis.nodes import node_troubles
from kaito_components.live.diagnosis.pods import pod_troubles
from kaito_components.live.diagnosis.trouble import LastWords, Trouble
from kaito_components.live.diagnosis.workloads import workload_troubles
from kaito_components.live.snapshot import Goal, Snapshot

__all__ = ["LastWords", "Trouble", "troubles"]


def troubles(snapshot: Snapshot, goal: Goal) -> list[Trouble]:
    """Everything that is not as it should be; what explains most comes first."""
    in_pods = [trouble for pod in snapshot.current_pods for trouble in pod_troubles(pod, snapshot, goal)]
    found = [*workload_troubles(snapshot, goal), *in_pods, *node_troubles(snapshot, goal)]
    return sorted(found, key=lambda trouble: trouble.grace_seconds is None)
