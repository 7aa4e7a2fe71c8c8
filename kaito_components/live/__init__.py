"""What a cluster says about Workspaces: asked (`cluster`), understood (`conditions`, `diagnosis`), told (`status`).

Called by readiness and by `kaito status`.
"""
