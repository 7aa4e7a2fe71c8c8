"""Measures a running server over HTTP: the load, its figures, its report. No torch, no model."""
