"""The `portcullis` command: starts, watches, reports, and checks journals."""
