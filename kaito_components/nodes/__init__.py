"""Where the nodes of a Workspace come from: `aks` makes a pool, `existing` checks what is there."""
