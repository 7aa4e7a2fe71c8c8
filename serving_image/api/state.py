"""What the routes share. Made once by the app."""

from dataclasses import dataclass, field

from fastapi import Request

from serving_image.api.admission import Gate
from serving_image.api.keys import Keys
from serving_image.api.metrics import Metrics
from serving_image.api.refusals import Refusal
from serving_image.api.tokenizer import Tokenizer
from serving_image.api.traces import Traces
from serving_image.engine.protocol import Engine
from serving_image.errors import AdapterError
from serving_image.progress import Progress
from serving_image.setting_types import AdapterSpec
from serving_image.settings import Settings


@dataclass
class Server:
    """Settings, engine and everything that is loaded later."""

    settings: Settings
    engine: Engine
    gate: Gate
    metrics: Metrics
    keys: Keys
    traces: Traces | None = None
    tokenizer: Tokenizer | None = None
    adapters: dict[str, str] = field(default_factory=dict)  # name -> folder
    templates: dict[str, str] = field(default_factory=dict)  # of the adapters that bring their chat template
    download: Progress = field(default_factory=Progress)

    @property
    def ready(self) -> bool:
        """Requests are accepted."""
        return self.engine.state == "ready" and self.tokenizer is not None and not self.gate.draining

    @property
    def free_places(self) -> int:
        """Answers that would be computed at once."""
        return self.settings.max_running - self.engine.stats.running - self.engine.stats.waiting

    def loaded(self) -> Tokenizer:
        """The tokenizer.

        Raises:
            Refusal: 503 while the model loads, after it failed, and while draining.
        """
        if self.engine.state == "failed":
            raise Refusal(503, f"the engine failed: {self.engine.failure}", code="engine_failed")
        if self.gate.draining:
            raise Refusal(503, "the server is stopping; send the request again", code="draining", retry_after=1)
        if self.tokenizer is None or self.engine.state != "ready":
            raise Refusal(503, "the model is still loading", code="loading", retry_after=5)
        return self.tokenizer

    def serve(self, spec: AdapterSpec) -> None:
        """Know an adapter, with the chat template in its folder: it learned to answer prompts of that form.

        Raises:
            AdapterError: The template cannot be read.
        """
        path = spec.folder / "chat_template.jinja"
        try:
            found = path.read_text(encoding="utf-8") if path.is_file() else ""
        except (OSError, UnicodeDecodeError) as error:
            raise AdapterError(f"adapter {spec.name}: {path}: {error}") from None
        self.adapters[spec.name] = str(spec.folder)
        self.templates[spec.name] = found

    def template(self, model: str | None, asked: str | None) -> str | None:
        """The chat template of a request, where it is not the model's own."""
        return asked or self.templates.get(self.adapter(model) or "") or None

    def adapter(self, model: str | None) -> str | None:
        """Which adapter a `model` means; None is the model itself.

        Raises:
            Refusal: 404 for a name that is not served.
        """
        model = model or self.settings.default_model or None
        if model is None or model == self.settings.model_name:
            return None
        if model in self.adapters:
            return model
        served = ", ".join([self.settings.model_name, *self.adapters])
        message = f"model: {model!r} is not served here; there are: {served}"
        raise Refusal(404, message, code="model_not_found", param="model")


def server_of(request: Request) -> Server:
    """The server that answers a request."""
    server = request.app.state.server
    assert isinstance(server, Server)
    return server
