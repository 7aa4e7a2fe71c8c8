"""Rules for the ConfigMaps and Secrets beside a Workspace, and for what it asks of them. Called by bundling."""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping, Sequence

from kaito_components import names
from kaito_components.errors import Finding
from kaito_components.spec import model, schema
from kaito_components.spec.composing import below, printable
from kaito_components.spec.config_rules import of_inference_config, of_training_config
from kaito_components.spec.document import Document
from kaito_components.spec.references import OBJECT_KEY, PLACEHOLDER
from kaito_components.spec.rules import of_metadata

LOGIN_KEY, TOKEN_KEY = ".dockerconfigjson", "HF_TOKEN"
LOGIN_TYPE = "kubernetes.io/dockerconfigjson"


def of_config_map(document: Document, parsed: schema.ConfigMapFile) -> Iterator[Finding]:
    """A ConfigMap that Kubernetes accepts and that can be changed later."""
    yield from of_metadata(document, parsed.metadata, "ConfigMap")
    yield from _of_keys(document, parsed.data, "data")
    yield from _not_immutable(document, parsed.immutable)
    if parsed.binary_data is not None:
        yield document.error("unsupported-field", "binaryData", "is not supported: nothing here reads binary data")


def of_secret(document: Document, parsed: schema.SecretFile) -> Iterator[Finding]:
    """A Secret that Kubernetes accepts. Its values are in no message."""
    yield from of_metadata(document, parsed.metadata, "Secret")
    yield from _not_immutable(document, parsed.immutable)
    for field, values in (("data", parsed.data), ("stringData", parsed.string_data)):
        yield from _of_keys(document, values, field)
        for key, value in values.items():
            whole = re.fullmatch(r"\s*<[^<>]+>\s*", value)
            if whole or (PLACEHOLDER.fullmatch(value.strip())):
                text = "still holds a placeholder: put your value there"
                yield document.error("placeholder", below(field, key), f"{text}{' in base64' * (field == 'data')}")
            elif field == "data" and _decoded(value) is None:
                text = "is not base64; encode it, or move it to stringData as it is"
                yield document.error("not-base64", below("data", key), text)
    login = _values(parsed.data, parsed.string_data).get(LOGIN_KEY)
    if parsed.type == LOGIN_TYPE and not _is_login(login):
        text = f'of the type {LOGIN_TYPE} needs the key {LOGIN_KEY} with {{"auths": ...}} as JSON'
        yield document.error("secret-key", "data", text)


def _of_keys(document: Document, values: Mapping[str, str], field: str) -> Iterator[Finding]:
    for key in values:
        if not OBJECT_KEY.fullmatch(key) or key in (".", ".."):
            text = f"{key!a} is not a key: use letters, digits, '-', '_' and '.'"
            yield document.error("invalid-key", field, text)


def _not_immutable(document: Document, immutable: bool | None) -> Iterator[Finding]:
    if immutable:
        text = "is not supported: the next update could not change it; remove it"
        yield document.error("unsupported-field", "immutable", text)


def _decoded(value: str) -> bytes | None:
    """Line breaks are allowed, as in Kubernetes."""
    try:
        return base64.b64decode(value.replace("\n", "").replace("\r", ""), validate=True)
    except (binascii.Error, ValueError):
        return None


def _values(data: Mapping[str, str], string_data: Mapping[str, str]) -> dict[str, bytes]:
    return {key: _decoded(text) or b"" for key, text in data.items()} | {k: v.encode() for k, v in string_data.items()}


def _is_login(value: bytes | None) -> bool:
    try:
        return isinstance(json.loads(value or b""), dict)
    except ValueError:
        return False


Made = model.Workspace | model.InferenceSet | model.ConfigMap | model.Secret


def twice(found: Sequence[tuple[Document, Made]]) -> Iterator[Finding]:
    """Two objects of one kind and name in one namespace would be the same object."""
    seen: dict[tuple[str, str, str], Finding] = {}
    for document, key in ((document, key) for document, one in found for key in _keys(one)):
        first = seen.get(key)
        place = document.error("duplicate-name", "metadata.name", "")
        if first is None:
            seen[key] = place
            continue
        where = f" ({first.file}:{first.line})" if first.file and first.line else ""
        text = f"{key[2]!r} is the name of another {key[0]} in namespace {key[1]!r}{where}; rename one of them"
        yield document.error("duplicate-name", "metadata.name", text)


def _keys(one: Made) -> list[tuple[str, str, str]]:
    """Kind, namespace and name; of an InferenceSet those of its Service and of its replicas, which are Workspaces."""
    if isinstance(one, model.InferenceSet):
        names = [one.name, *(replica.name for replica in one.replicas())]
        return [("Workspace", one.namespace, name) for name in names]
    return [(type(one).__name__, one.namespace, one.name)]


def of_references(document: Document, one: model.Workspace, bundle: model.Bundle) -> Iterator[Finding]:
    """What a Workspace asks of the ConfigMaps and Secrets beside it; those in the cluster are not looked at."""
    yield from _of_config(document, one, bundle)
    for field, name, key in _secrets(one):
        yield from _of_secret(document, field, name, key, one.namespace, bundle)


def _of_config(document: Document, one: model.Workspace, bundle: model.Bundle) -> Iterator[Finding]:
    part, kind = (one.tuning, "tuning") if one.tuning else (one.inference, "inference")
    if part is None or not part.config:
        return
    field, key = f"{kind}.config", "training_config.yaml" if one.tuning else "inference_config.yaml"
    config = bundle.config_map(one.namespace, part.config)
    if config is None:
        elsewhere = [c.namespace for c in bundle.config_maps if c.name == part.config]
        yield from _elsewhere(document, field, "ConfigMap", part.config, one.namespace, elsewhere)
    elif key not in config.data:
        yield document.error("config-key", field, f"ConfigMap {printable(config.name)} has no key {key}")
    else:
        text = config.data[key]
        doubts = of_training_config(text, one.tuning.method) if one.tuning else of_inference_config(text)
        for severity, code, message in doubts:
            say = document.error if severity == "error" else document.warning
            yield say(code, field, f"{key} of ConfigMap {printable(config.name)}: {message}")


def _secrets(one: model.Workspace) -> Iterator[tuple[str, str, str]]:
    """(field, Secret's name, the key that is read) of every Secret that a Workspace names."""
    part, kind = (one.tuning, "tuning") if one.tuning else (one.inference, "inference")
    if key_secret := one.annotations.get(names.API_KEY_ANNOTATION):
        yield f"metadata.annotations.{names.API_KEY_ANNOTATION}", key_secret, names.API_KEY
    if part and part.preset:
        options = f"{kind}.preset.presetOptions"
        if part.preset.model_access_secret:
            yield f"{options}.modelAccessSecret", part.preset.model_access_secret, TOKEN_KEY
        for index, name in enumerate(part.preset.image_pull_secrets):
            yield f"{options}.imagePullSecrets[{index}]", name, LOGIN_KEY
    if one.tuning:
        if one.tuning.output.image_push_secret:
            yield "tuning.output.imagePushSecret", one.tuning.output.image_push_secret, LOGIN_KEY
        for index, name in enumerate(one.tuning.input.image_pull_secrets):
            yield f"tuning.input.imagePullSecrets[{index}]", name, LOGIN_KEY
    for number, adapter in enumerate(one.inference.adapters if one.inference else ()):
        for index, name in enumerate(adapter.source.image_pull_secrets):
            yield f"inference.adapters[{number}].source.imagePullSecrets[{index}]", name, LOGIN_KEY


def _of_secret(
    document: Document, field: str, name: str, key: str, namespace: str, bundle: model.Bundle
) -> Iterator[Finding]:
    secret = next((s for s in bundle.secrets if (s.namespace, s.name) == (namespace, name)), None)
    if secret is None:
        elsewhere = [s.namespace for s in bundle.secrets if s.name == name]
        yield from _elsewhere(document, field, "Secret", name, namespace, elsewhere)
        return
    value = _values(secret.data, secret.string_data).get(key)
    if value is None:
        yield document.error("secret-key", field, f"Secret {printable(name)} has no key {key}")
    elif key == LOGIN_KEY and not _is_login(value):
        yield document.error("secret-key", field, f"the key {key} of Secret {printable(name)} is not JSON")


def _elsewhere(
    document: Document, field: str, kind: str, name: str, namespace: str, found: Sequence[str]
) -> Iterator[Finding]:
    if found:
        text = f"{kind} {printable(name)} stands beside it in namespace {found[0]!r}, not {namespace!r}"
        yield document.warning("other-namespace", field, f"{text}; give both one namespace")
