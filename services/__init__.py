"""The services. Path equals import equals command: ``python -m services.<name>``."""
