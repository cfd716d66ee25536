"""`python -m mapper.cli` does what the console script does."""

from mapper.cli.entry import main

main()
