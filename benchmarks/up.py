"""From `pulumi up` to ready: step by step for one Workspace, and in all for fifty that wait side by side."""

import time

from benchmarks import clouds

MANY = 50


def main() -> None:
    """Prints when each resource of one Workspace was done, and the time for many."""
    with clouds.cloud() as instance:
        with clouds.stack(instance, 1) as stack:
            start = time.time()
            done = stack.up()
            total = time.time() - start
            print(f"pulumi up of one Workspace: {total:.1f} s")
            for event in done.events:
                finished = (event.get("resOutputsEvent") or {}).get("metadata")
                if finished and finished["op"] == "create":
                    print(f"  {event['timestamp'] - start:>5.1f} s  {finished['urn'].split('::')[-1]}")
        with clouds.stack(instance, MANY) as stack:
            start = time.time()
            done = stack.up()
            waits = sum(1 for name in done.ops if name.endswith("-ready"))
            print(
                f"pulumi up of {MANY} Workspaces: {time.time() - start:.1f} s, {waits} waits, none in another's way\n"
            )
