"""`python -m serving_image`: the server; with `bench`, its measurement. Also the container's entry point."""

import os
import sys


def main() -> int:
    """Read the settings, then serve until told to stop."""
    from serving_image import settings
    from serving_image.errors import ServingError

    arguments = sys.argv[1:]
    if arguments[:1] == ["bench"]:
        return _bench(arguments[1:])
    if "--help" in arguments or "-h" in arguments:
        settings.parser().print_help()
        return 0
    try:
        chosen = settings.read(arguments, os.environ)
        from serving_image import run  # imports the web framework: not for --help, not in the engine's process

        return run.serve(chosen)
    except ServingError as error:
        print(f"serving_image: {error}", file=sys.stderr)
        return 2


def _bench(arguments: list[str]) -> int:
    from serving_image.bench import command  # imports an HTTP client: not for the server
    from serving_image.errors import ServingError

    try:
        return command.main(arguments)
    except ServingError as error:
        print(f"serving_image: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
