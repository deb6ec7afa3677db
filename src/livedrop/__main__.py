"""`python -m livedrop` is `livedrop`."""

from livedrop.cli import main

main()
