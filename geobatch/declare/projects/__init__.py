"""Project files: what `geobatch.yaml` says for all specs of a project."""
