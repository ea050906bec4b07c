"""`python -m geobatch`."""

from geobatch.cli.main import main

main()
