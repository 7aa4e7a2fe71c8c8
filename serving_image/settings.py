"""All settings: flags, else variables, else defaults; each parsed once, here. Called by __main__ and the bench command.

`--max-model-len` is `SERVING_MAX_MODEL_LEN` in the environment. Unknown flags, unknown SERVING_ variables and values
that do not parse stop the process with one message that names all of them.
"""

import argparse
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving_image.errors import SettingsError
from serving_image.setting_types import (
    AdapterSpec,
    adapters,
    choice,
    nonnegative,
    optional_bytes,
    optional_path,
    optional_whole,
    port,
    seconds,
    text,
    url,
    whole,
)

PREFIX = "SERVING_"
# Of api/tool_formats.py and api/channels.py, and of api/reasoning.py and api/channels.py.
TOOL_FORMATS = (
    *("hermes", "granite4", "qwen3_coder", "deepseek_v3", "mistral", "llama3_json", "phi4_mini_json", "functiongemma"),
    "openai",
)
REASONING_FORMATS = ("deepseek_r1", "deepseek_v3", "qwen3", "openai_gptoss")


def setting(default: Any, parse: Callable[[str], Any], explanation: str) -> Any:
    """A field with the way it is read and its line of --help."""
    return dataclasses.field(default=default, metadata={"parse": parse, "help": explanation})


@dataclass(frozen=True)
class Settings:
    """What the process was told. `origins` says for each field: flag, environment or default."""

    model: str = setting("", text, "folder, .gguf file or Hugging Face id of the model (required)")
    revision: str = setting("", text, "commit, tag or branch of the Hugging Face id")
    served_model_name: str = setting("", text, "the `model` that clients send; default: the last part of --model")
    host: str = setting("127.0.0.1", text, "address to listen on")
    port: int = setting(5000, port, "port of the API")
    metrics_port: int = setting(0, nonnegative, "port of /metrics and /health by themselves; 0: with the API")
    dtype: str = setting("auto", choice("auto", "float32", "bfloat16", "float16"), "of the weights and the cache")
    quantization: str = setting("none", choice("none", "nf4", "int8"), "of the weights at load, by bitsandbytes")
    device: str = setting("auto", choice("auto", "cpu", "cuda"), "where the model runs")
    cuda_graphs: str = setting("on", choice("on", "off"), "on GPUs: record steps of one shape, and replay them")
    threads: int = setting(0, nonnegative, "CPU threads of the model; 0: one per core")
    adapter: tuple[AdapterSpec, ...] = setting((), adapters, "NAME=FOLDER[:STRENGTH], repeatable; a LoRA adapter")
    adapter_base: str = setting(
        "checked",
        choice("checked", "any"),
        "checked: adapters whose adapter_config.json names another model are refused",
    )
    max_model_len: int | None = setting(None, optional_whole, "longest prompt plus answer; default: the model's")
    max_running: int = setting(64, whole, "requests computed at a time")
    kv_cache_bytes: int | None = setting(None, optional_bytes, "memory for keys and values; default: from free memory")
    prefill_tokens: int = setting(
        0, nonnegative, "prompt tokens per step while others decode; 0: 256 on CPUs, 1024 on GPUs"
    )
    max_queued_requests: int = setting(256, nonnegative, "waiting requests; more are refused with 429")
    max_queued_tokens: int = setting(262144, whole, "prompt tokens of waiting requests; more are refused with 429")
    max_body_bytes: int = setting(4 * 2**20, optional_bytes, "largest request; more are refused with 413")
    queue_timeout: float = setting(300.0, seconds, "seconds a request may wait; 0: no limit")
    first_token_timeout: float = setting(600.0, seconds, "seconds to the first token; 0: no limit")
    total_timeout: float = setting(1800.0, seconds, "seconds to the last token; 0: no limit")
    drain_timeout: float = setting(100.0, seconds, "seconds after SIGTERM for running requests to finish")
    liveness_timeout: float = setting(
        60.0, seconds, "seconds without a step, with work there, until not alive; 0: no limit"
    )
    write_timeout: float = setting(60.0, seconds, "seconds a client may leave its stream unread; 0: no limit")
    api_key_file: Path | None = setting(None, optional_path, "API keys, one a line; read again when the file changes")
    admin_key_file: Path | None = setting(None, optional_path, "keys for /v1/adapters, which is off without them")
    default_model: str = setting("", text, "adapter for requests that name no model; default: the model itself")
    chat_template: Path | None = setting(None, optional_path, "Jinja file in place of the model's own template")
    tool_call_parser: str = setting("none", choice("none", *TOOL_FORMATS), "how the model writes tool calls")
    reasoning_parser: str = setting("none", choice("none", *REASONING_FORMATS), "how the model writes its reasoning")
    otlp_traces_endpoint: str = setting("", url, "URL that spans are sent to by OTLP/HTTP; default: no tracing")
    log_level: str = setting("info", choice("debug", "info", "warning", "error"), "of the log, which is JSON lines")
    origins: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False, compare=False)

    @property
    def model_name(self) -> str:
        """What clients call the model."""
        return self.served_model_name or Path(self.model.rstrip("/")).stem.lower()

    @property
    def adapters_base(self) -> str:
        """What adapters must name as their base; empty where that is not checked."""
        return self.model if self.adapter_base == "checked" else ""

    def lines(self) -> list[str]:
        """`name = value (origin)`, one a setting, for the first lines of the log."""
        return [f"{name} = {getattr(self, name)!s} ({self.origins.get(name, 'default')})" for name in _fields()]


def read(argv: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Settings from flags and variables.

    Raises:
        SettingsError: With every problem, one a line.
    """
    given, problems = _given(argv, environment)
    values: dict[str, Any] = {}
    for name, (raw, origin) in given.items():
        try:
            values[name] = _fields()[name].metadata["parse"](raw)
        except ValueError as error:
            problems.append(f"{origin}: {raw!r} {error}")
    if "model" not in given:
        problems.append("--model is required: a folder, a .gguf file or a Hugging Face id")
    default, known = values.get("default_model"), [one.name for one in values.get("adapter", ())]
    if default and default not in known:
        problems.append(f"--default-model {default!r} is no --adapter; there are: {', '.join(known) or 'none'}")
    if problems:
        raise SettingsError("\n".join(problems))
    return Settings(**values, origins={name: origin for name, (_, origin) in given.items()})


def parser() -> argparse.ArgumentParser:
    """The command line; values stay text until `read` parses them all."""
    result = argparse.ArgumentParser(
        prog="python -m serving_image",
        description="Serve a model over HTTP: POST /chat, OpenAI's API under /v1, /health and /metrics.",
        epilog=f"Every flag is a variable too: --max-model-len is {PREFIX}MAX_MODEL_LEN. "
        "`python -m serving_image bench --help` measures a running server.",
        allow_abbrev=False,
        exit_on_error=False,
    )
    for name, field in _fields().items():
        default = f" (default: {field.default})" if field.default not in ("", None, ()) else ""
        action = "append" if name == "adapter" else "store"
        explanation = field.metadata["help"].replace("%", "%%")
        result.add_argument(_flag(name), action=action, metavar="VALUE", help=f"{explanation}{default}")
    return result


def _given(argv: Sequence[str], environment: Mapping[str, str]) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Raw text and origin of each setting that is set, and what is not known."""
    problems = []
    try:
        parsed, unknown = parser().parse_known_args(argv)
    except argparse.ArgumentError as error:
        raise SettingsError(f"{error}; see --help") from None
    problems += [f"{flag} is not known; see --help" for flag in unknown]
    given = {}
    for variable, value in environment.items():
        name = variable.removeprefix(PREFIX).lower()
        if variable.startswith(PREFIX) and name in _fields():
            given[name] = (value, variable)
        elif variable.startswith(PREFIX):
            problems.append(f"{variable} is not known; the variables are {PREFIX} and a flag's name, see --help")
    for name in _fields():
        value = getattr(parsed, name)
        if value is not None:
            given[name] = ("\n".join(value) if isinstance(value, list) else value, _flag(name))
    return given, problems


def _fields() -> dict[str, dataclasses.Field[Any]]:
    return {field.name: field for field in dataclasses.fields(Settings) if "parse" in field.metadata}


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
