#!/opt/portcullis/venv/bin/python
"""The ``portcullis`` command of the image."""

from cli.__main__ import main

main()
