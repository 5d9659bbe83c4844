"""Scenarios that ship with the paper exchange, one YAML file each."""
