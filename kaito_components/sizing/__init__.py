"""Bytes, GPUs, nodes and context: arithmetic with its sources. Pure; called by plan and by `kaito models`."""
