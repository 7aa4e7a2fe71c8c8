"""Hugging Face as far as one model needs it: what its API says, and its config.json. A stand-in on this machine.

The shapes are those that huggingface_hub asks for: /api/models/ID, and HEAD and GET of /ID/resolve/REVISION/FILE.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any

from tests.loopback import Silent, serving

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 576, "num_hidden_layers": 30,
    "num_attention_heads": 9, "num_key_value_heads": 3, "max_position_embeddings": 8192, "intermediate_size": 1536,
    "vocab_size": 49152, "torch_dtype": "bfloat16",
}  # fmt: skip


@dataclass
class Hub:
    """What it answers. `status` is of everything; `gate` closes the files to who has no token."""

    model: str = "org/tiny"
    config: bytes = json.dumps(CONFIG).encode()
    status: int = 200
    gate: bool = False
    token: str = "hf_secret"
    info: dict[str, Any] = field(default_factory=dict)
    cut_api: bool = False  # the answer of the API ends in the middle
    short: int = 0  # bytes of config.json that are promised and not sent
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def api(self) -> bytes:
        files = {"config.json": len(self.config), "model.safetensors": 269060552, "README.md": 10}
        siblings = [{"rfilename": name, "size": size} for name, size in files.items()]
        about = {"id": self.model, "sha": COMMIT, "siblings": siblings, "gated": "manual" if self.gate else False}
        about |= {"cardData": {"license": "apache-2.0"}, "safetensors": {"total": 134515008, "parameters": {}}}
        text = json.dumps(about | self.info).encode()
        return text[: len(text) // 2] if self.cut_api else text


@contextmanager
def hugging_face(hub: Hub) -> Iterator[Hub]:
    """Serves the hub while the block runs."""

    class Handler(Silent):
        def do_GET(self) -> None:
            hub.asked.append(self.path)
            if hub.status != 200:
                self._answer(hub.status, b"{}", {})
            elif not self.path.startswith((f"/api/models/{hub.model}", f"/{hub.model}/")):
                self._answer(401, b"{}", {"X-Error-Message": "Invalid username or password."})
            elif self.path.startswith("/api/"):
                self._answer(200, hub.api(), {})
            elif hub.gate and self.headers.get("Authorization") != f"Bearer {hub.token}":
                self._answer(403, b"{}", {"X-Error-Code": "GatedRepo"})
            else:
                tag = {"ETag": f'"{len(hub.config):040x}"', "X-Repo-Commit": COMMIT}
                self._answer(200, hub.config, tag, hub.short)

        do_HEAD = do_GET

        def _answer(self, status: int, body: bytes, headers: dict[str, str], short: int = 0) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body[: len(body) - short])

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        hub.url = f"http://127.0.0.1:{server.server_port}"
        yield hub
