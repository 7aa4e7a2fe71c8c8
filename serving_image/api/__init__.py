"""The HTTP side: bodies, refusals, streams. Knows the engine only by engine/protocol.py."""
