"""`python -m chat4all`."""

from chat4all.cli import main

main()
