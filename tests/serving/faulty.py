"""`python -m tests.serving.faulty`: the server's own main, over an engine whose steps are slow, or fail on one token.

The engine's process is spawned from this module, which is how the fault gets there; the server's process has none.
"""

import logging
import os
import sys
import time
from typing import Any

POISON = int(os.environ.get("FAULTY_POISON", "49000"))  # a step whose prompt holds this token raises
SLOW_SECONDS = float(os.environ.get("FAULTY_SLOW_SECONDS", "0"))  # that a step takes at least
STEP = "faulty: step with"

if __name__ == "__mp_main__":  # the engine's process
    from serving_image.engine.stepper import Stepper

    run = Stepper._run

    def faulty(self: Stepper, plan: Any) -> Any:
        """The same, with the fault."""
        time.sleep(SLOW_SECONDS)
        if SLOW_SECONDS:
            logging.getLogger("faulty").info("%s %s", STEP, [work.sequence.request.id for work in plan.all])
        if any(POISON in work.sequence.tokens for work in plan.all):
            raise RuntimeError("bad token")
        return run(self, plan)

    Stepper._run = faulty  # type: ignore[method-assign]

if __name__ == "__main__":
    from serving_image.__main__ import main

    sys.exit(main())
