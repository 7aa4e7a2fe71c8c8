"""A model's folder as an OCI artefact in a registry: chosen, checked, described, sent. Called by cli.models_push."""
