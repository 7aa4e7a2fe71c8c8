"""What the user asked for: KAITO's Workspaces, read and checked field by field.

`reader.read_files` and `reader.read_documents` make a `model.Bundle`; `args` says the same in Python. Nothing is
imported here, so that `spec.model` stays as light as its dataclasses.
"""
