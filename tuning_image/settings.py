"""Every setting with its origin: defaults, the method's defaults, training_config.yaml, the environment, --set.

Called by __main__. All problems are told together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tuning_image import tracking
from tuning_image.arguments import Arguments
from tuning_image.contradictions import contradictions
from tuning_image.errors import UserError
from tuning_image.sections import METHOD_DEFAULTS, Config

ROOT_KEY = "training_config"
Values = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Settings:
    """What the run does. `origins` says where each `Section.key` comes from."""

    arguments: Arguments
    config: Config
    origins: Mapping[str, str]

    def lines(self) -> list[str]:
        """`Section.key = value (origin)`, one a setting."""
        return [
            f"{section}.{key} = {value} ({self.origins.get(f'{section}.{key}', 'default')})"
            for section, values in self.config.model_dump().items()
            for key, value in values.items()
        ]


def read(arguments: Arguments, environment: Mapping[str, str]) -> Settings:
    """Arguments, environment and file → Settings.

    Raises:
        UserError: With every problem, one a line.
    """
    values: Values = {}
    origins: dict[str, str] = {}
    problems: list[str] = []
    layers = [
        (f"--method {arguments.method}", METHOD_DEFAULTS[arguments.method]),
        ("DEFAULT_TARGET_MODULES", _from_environment(environment)),
        (str(arguments.config), _from_file(arguments.config, problems) if arguments.config else {}),
        ("--set", _from_flags(arguments.settings, problems)),
    ]
    for origin, layer in layers:
        for section, fields in layer.items():
            values.setdefault(section, {}).update(fields)
            origins.update({f"{section}.{key}": origin for key in fields})
    _prefer_eight_bits(values, origins)
    config = _validated(values, origins, problems)
    if judged := config or _validated(_without(values, problems), origins, []):
        problems += contradictions(judged, arguments, origins)
        problems += tracking.problems(judged.TrainingArguments.report_to, environment)
    if problems or config is None:
        raise UserError("\n".join(problems))
    return Settings(arguments, config, origins)


def _prefer_eight_bits(values: Values, origins: dict[str, str]) -> None:
    """Who asks for 8 bits and says nothing of 4 does not mean the method's default as well."""
    bits, four = values.get("QuantizationConfig", {}), "QuantizationConfig.load_in_4bit"
    if bits.get("load_in_8bit") is True and origins.get(four, "").startswith("--method "):
        bits["load_in_4bit"] = False
        origins[four] = origins["QuantizationConfig.load_in_8bit"]


def _from_environment(environment: Mapping[str, str]) -> Values:
    named = [name.strip() for name in environment.get("DEFAULT_TARGET_MODULES", "").split(",") if name.strip()]
    return {"LoraConfig": {"target_modules": named}} if named else {}


def _from_file(path: Path, problems: list[str]) -> Values:
    try:
        document = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        problems.append(f"{path}: cannot be read: {' '.join(str(error).split())}")
        return {}
    if isinstance(document, dict) and set(document) == {ROOT_KEY}:
        document = document[ROOT_KEY]
    if document is None:
        return {}
    if not isinstance(document, dict):
        problems.append(f"{path}: must hold sections under the key {ROOT_KEY}, as KAITO's lora-params ConfigMap does")
        return {}
    wrong = [name for name, fields in document.items() if fields is not None and not isinstance(fields, dict)]
    problems += [f"{path}: {name}: must be a section of keys and values" for name in wrong]
    return {name: dict(fields or {}) for name, fields in document.items() if name not in wrong}


def _from_flags(flags: tuple[str, ...], problems: list[str]) -> Values:
    result: Values = {}
    for flag in flags:
        name, equals, text = flag.partition("=")
        section, dot, key = name.partition(".")
        if not (equals and dot and key):
            problems.append(f"--set {flag}: must be SECTION.KEY=VALUE, for example TrainingArguments.max_steps=100")
            continue
        result.setdefault(section, {})[key] = YAML(typ="safe").load(text)
    return result


def _validated(values: Values, origins: Mapping[str, str], problems: list[str]) -> Config | None:
    try:
        return Config.model_validate({name: _numbers(fields) for name, fields in values.items()})
    except ValidationError as error:
        for item in error.errors():
            field = ".".join(str(part) for part in item["loc"][:2])
            problems.append(f"{_origin(field, origins)}: {field}: {_reason(item, field)}")
        return None


def _without(values: Values, problems: list[str]) -> Values:
    """What is left when the fields that a problem names are taken away, so that contradictions are told with them."""
    named = [problem.split(": ")[1] for problem in problems if ": " in problem]
    kept = {section: fields for section, fields in values.items() if section not in named}
    return {s: {k: v for k, v in fields.items() if f"{s}.{k}" not in named} for s, fields in kept.items()}


def _numbers(fields: dict[str, Any]) -> dict[str, Any]:
    """YAML 1.2 reads 2e-5 as text, users mean a number."""
    return {key: _number(value) if isinstance(value, str) else value for key, value in fields.items()}


def _number(text: str) -> Any:
    try:
        return float(text) if text[:1].isdigit() else text
    except ValueError:
        return text


def _origin(field: str, origins: Mapping[str, str]) -> str:
    return origins.get(field) or next((o for name, o in origins.items() if name.startswith(field)), "training_config")


def _reason(item: Any, field: str) -> str:
    if item["type"] != "extra_forbidden":
        return f"{item['input']!r}: {item['msg']}"
    if "." not in field:
        return f"is no section; there are {', '.join(Config.model_fields)}"
    section = Config.model_fields[field.split(".")[0]].annotation
    known = ", ".join(section.model_fields) if section else ""
    return f"is not supported and would have no effect; remove it. Supported: {known}"
