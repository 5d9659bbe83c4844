"""Portcullis: libraries shared by the services."""
