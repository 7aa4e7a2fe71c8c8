"""Where the nodes of a Workspace come from, one module each."""
