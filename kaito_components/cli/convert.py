"""`kaito convert FILE...`: a Pulumi program in Python that makes what KAITO's files describe. No engine, no network."""

import json
import keyword
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from kaito_components.errors import InvalidWorkspace
from kaito_components.names import logical_name
from kaito_components.spec import model

HEAD = '''"""Made by `kaito convert {files}`: run it with `pulumi up`.

{commands}
"""

import pulumi
{imports}
config = pulumi.Config()
cluster = Cluster({{"resource_group": config.require("resourceGroup"), "name": config.require("cluster")}})
'''


def convert(files: Annotated[list[Path], typer.Argument(help="Workspace files, KAITO's YAML")]) -> None:
    """Write these Workspaces as a Python program that uses the components.

    Exit code 0: the program is on the screen; 1: the files have errors; 2: wrong usage, or a file that cannot be read.
    """
    from kaito_components.spec.reader import read_files

    try:
        bundle = read_files(files)
    except InvalidWorkspace as bad:
        for found in bad.findings:
            print(f"{found.severity}: {found}", file=sys.stderr)
        raise typer.Exit(2 if any(found.code == "unreadable-file" for found in bad.findings) else 1) from None
    print(program(bundle, " ".join(file.name for file in files)), end="")


def program(bundle: model.Bundle, files: str) -> str:
    """The program. A Secret's values are not in it: they come from the configuration of the stack."""
    alone = [one for one in bundle.workspaces if not one.inference_set]
    classes = ["Cluster", *(["InferenceSet"] if bundle.inference_sets else []), *(["Workspace"] if alone else [])]
    imports = ["import pulumi_kubernetes"] if bundle.secrets else []
    imports += ["", f"from kaito_components import {', '.join(classes)}", ""]
    parts = [HEAD.format(files=files, commands="\n".join(_commands(bundle)), imports="\n".join(imports))]
    parts += [_secret(one) for one in bundle.secrets]
    parts += [_component("Workspace", one, _args(one, bundle)) for one in alone]
    for whole in bundle.inference_sets:
        args = {**_args(whole.template, bundle), "replicas": whole.replica_count}
        parts.append(_component("InferenceSet", whole, args))
    return "\n".join(parts)


def _commands(bundle: model.Bundle) -> Iterator[str]:
    """What the stack must be told before."""
    yield "pulumi config set resourceGroup RESOURCE_GROUP"
    yield "pulumi config set cluster AKS_CLUSTER"
    for one in bundle.secrets:
        for key in (*one.data, *one.string_data):
            yield f"pulumi config set --secret {_setting(one, key)} VALUE     # {key} of {one.name}, as plain text"


def _secret(one: model.Secret) -> str:
    metadata: dict[str, Any] = {"name": one.name, "namespace": one.namespace}
    metadata |= {key: dict(given) for key in ("labels", "annotations") if (given := getattr(one, key))}
    values = {key: Code(f"config.require_secret({_text(_setting(one, key))})") for key in (*one.data, *one.string_data)}
    name = f"{logical_name(one.namespace, one.name)}-secret"
    return f"""{_variable(name)} = pulumi_kubernetes.core.v1.Secret(
    {_text(name)},
    metadata={_literal(metadata, 1)},
    type={_text(one.type)},
    string_data={_literal(values, 1)},
    opts=pulumi.ResourceOptions(provider=cluster.provider),
)
"""


def _component(kind: str, one: model.Workspace | model.InferenceSet, args: Mapping[str, Any]) -> str:
    name = logical_name(one.namespace, one.name)
    given = {"cluster": Code("cluster"), **({} if name == one.name else {"workspace_name": one.name}), **args}
    return f"""{_variable(name)} = {kind}(
    {_text(name)},
    {_literal(given, 1)},
)
pulumi.export({_text(name)}, {_variable(name)}.endpoint)
"""


class Code(str):
    """What stands in the program as it is."""


def _literal(value: Any, depth: int) -> str:
    """A value as Python writes it, one entry a line."""
    inner, outer = "    " * (depth + 1), "    " * depth
    if isinstance(value, Mapping) and value:
        entries = (f"{inner}{_text(key)}: {_literal(item, depth + 1)},\n" for key, item in value.items())
        return f"{{\n{''.join(entries)}{outer}}}"
    if isinstance(value, list | tuple) and value:
        return f"[\n{''.join(f'{inner}{_literal(item, depth + 1)},{chr(10)}' for item in value)}{outer}]"
    return _text(value) if isinstance(value, str) and not isinstance(value, Code) else str(value)


def _text(value: str) -> str:
    """A string in double quotes; what JSON writes is Python, too."""
    return json.dumps(value, ensure_ascii=False)


def _args(spec: model.Workspace, bundle: model.Bundle) -> dict[str, Any]:
    """The args as `WorkspaceArgs` has them."""
    resource: dict[str, Any] = {"label_selector": {"match_labels": dict(spec.resource.match_labels)}}
    if spec.resource.instance_type:
        resource["instance_type"] = spec.resource.instance_type
    if spec.resource.count != 1:
        resource["count"] = spec.resource.count
    if spec.resource.partition:
        resource["partition"] = _given(vars(spec.resource.partition))
    args: dict[str, Any] = {"resource": resource}
    if spec.namespace != "default":
        args["namespace"] = spec.namespace
    if spec.annotations:
        args["annotations"] = dict(spec.annotations)
    part = spec.inference or spec.tuning
    args["inference" if spec.inference else "tuning"] = _inference(spec.inference) if spec.inference else _tuning(spec)
    if part and part.config and (found := bundle.config_map(spec.namespace, part.config)):
        args["config_maps"] = {found.name: dict(found.data)}
    return args


def _inference(part: model.Inference) -> dict[str, Any]:
    adapters = [_given({"source": _source(one.source), "strength": one.strength}) for one in part.adapters]
    preset = _preset(part.preset) if part.preset else None
    return _given({"preset": preset, "template": part.template, "config": part.config, "adapters": adapters})


def _tuning(spec: model.Workspace) -> dict[str, Any]:
    part = spec.tuning
    assert part
    out = _given({**vars(part.output)})
    values = {"preset": _preset(part.preset), "method": part.method, "input": _source(part.input), "output": out}
    return _given({**values, "config": part.config})


def _preset(ref: model.PresetRef) -> dict[str, Any]:
    options = {"image": ref.image, "image_pull_secrets": list(ref.image_pull_secrets)}
    options |= {"model_access_secret": ref.model_access_secret}
    mode = ref.access_mode if ref.access_mode != "public" else None
    return _given({"name": ref.name, "access_mode": mode, "preset_options": _given(options)})


def _source(source: model.DataSource) -> dict[str, Any]:
    lists = {"urls": list(source.urls), "image_pull_secrets": list(source.image_pull_secrets)}
    return _given({**vars(source), **lists})


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is not given."""
    return {key: value for key, value in values.items() if value not in (None, (), [], {})}


def _variable(name: str) -> str:
    word = re.sub(r"\W", "_", name)
    return f"{word}_" if keyword.iskeyword(word) or word in ("cluster", "config", "pulumi") else word


def _setting(one: model.Secret, key: str) -> str:
    """The key of the configuration for a value of a Secret."""
    return f"{one.namespace}-{one.name}-{key.lstrip('.')}"
