"""What can be wrong, and how it is said.

    ServingError           every error this image raises on purpose; its text is meant for the user as it is
    ├── SettingsError      a flag, a variable or a file that cannot be used: the process does not start
    ├── WeightsError       the model's files are missing, damaged or too big
    ├── AdapterError       an adapter's files do not fit the model
    └── EngineError        the engine failed this request

Imports nothing. The API turns these, and its own refusals (api/refusals.py), into OpenAI's error shape.
"""


class ServingError(Exception):
    """Every error that this image raises on purpose."""


class SettingsError(ServingError):
    """A setting that cannot be used."""


class WeightsError(ServingError):
    """The model's files cannot be used."""


class AdapterError(ServingError):
    """An adapter cannot be used."""


class EngineError(ServingError):
    """The engine failed a request."""
