"""`python -m kaito_components.cli` is `kaito`."""

from kaito_components.cli import main

main()
