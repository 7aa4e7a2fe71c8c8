"""The HTTP server for models that transformers runs: `python -m serving_image --help`, and the serving image."""

VERSION = "0.1.0"
