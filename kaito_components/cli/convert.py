"""`kaito convert FILE...`: a Pulumi program in Python that makes what KAITO's files describe. No engine, no network."""

import base64
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from kaito_components.cli.convert_args import workspace_args
from kaito_components.cli.python_text import Code, literal, text, unique, variables
from kaito_components.errors import InvalidWorkspace
from kaito_components.names import logical_name
from kaito_components.spec import model

HEAD = '''"""Made by `kaito convert {files}`: run it with `pulumi up`.

{commands}
"""

import pulumi
{imports}
config = pulumi.Config()
cluster = Cluster({cluster})
'''
AKS = '{"resource_group": config.require("resourceGroup"), "name": config.require("cluster")}'
KUBECONFIG = '{"kubeconfig": config.require_secret("kubeconfig")}'
Settings = dict[
    tuple[str, str, str], str
]  # namespace, name and key of a Secret's value -> its key in the configuration


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
    for line in not_carried(bundle):
        print(f"warning: {line}", file=sys.stderr)
    print(program(bundle, " ".join(file.name for file in files)), end="")


def program(bundle: model.Bundle, files: str) -> str:
    """The program. A Secret's values are not in it: they come from the configuration of the stack."""
    alone = [one for one in bundle.workspaces if not one.inference_set]
    classes = ["Cluster", *(["InferenceSet"] if bundle.inference_sets else []), *(["Workspace"] if alone else [])]
    beside: list[model.ConfigMap | model.Secret] = [
        *(one for one in bundle.config_maps if not _is_config(one, bundle)),
        *bundle.secrets,
    ]
    imports = ["import pulumi_kubernetes"] if beside else []
    imports += ["", f"from kaito_components import {', '.join(classes)}", ""]
    settings, called = _settings(bundle.secrets), variables(map(_name, [*beside, *alone, *bundle.inference_sets]))
    cluster = AKS if _needs_aks(bundle) else KUBECONFIG
    commands = "\n".join(_commands(bundle, settings))
    parts = [HEAD.format(files=files, commands=commands, imports="\n".join(imports), cluster=cluster)]
    parts += [_beside(one, called[_name(one)], settings) for one in beside]
    after = [called[_name(one)] for one in beside]
    parts += [_component("Workspace", one, called[_name(one)], workspace_args(one, bundle), after) for one in alone]
    for whole in bundle.inference_sets:
        args = {**workspace_args(whole.template, bundle), "replicas": whole.replica_count}
        parts.append(_component("InferenceSet", whole, called[_name(whole)], args, after))
    return "\n".join(parts)


def not_carried(bundle: model.Bundle) -> Iterator[str]:
    """What the files have and the program has not."""
    for one in bundle.config_maps:
        given = sorted({*one.labels, *one.annotations})
        if given and _is_config(one, bundle):
            yield f"ConfigMap {one.name}: {', '.join(given)}: WorkspaceArgs.config_maps takes no labels or annotations"


def _is_config(one: model.ConfigMap, bundle: model.Bundle) -> bool:
    """Whether a Workspace takes its settings from it; the Workspace makes it then."""
    parts = ((spec.namespace, part.config) for spec in bundle.workspaces if (part := spec.inference or spec.tuning))
    return (one.namespace, one.name) in parts


def _needs_aks(bundle: model.Bundle) -> bool:
    return any(one.resource.instance_type for one in bundle.workspaces)


def _commands(bundle: model.Bundle, settings: Settings) -> Iterator[str]:
    """What the stack must be told before. Without a value, Pulumi asks for it or reads it from a pipe."""
    if _needs_aks(bundle):
        yield "pulumi config set resourceGroup RESOURCE_GROUP"
        yield "pulumi config set cluster AKS_CLUSTER"
    else:
        yield "pulumi config set --secret kubeconfig < KUBECONFIG_FILE"
    for one in bundle.secrets:
        binary = _binary(one)
        for value in _values_of(one):
            form = "in base64" if value[2] in binary else "as plain text"
            yield f"pulumi config set --secret {settings[value]}     # {value[2]} of {one.name}, {form}"


def _settings(secrets: Sequence[model.Secret]) -> Settings:
    """A key of the configuration for each value, which no other value has."""
    values = [value for one in secrets for value in _values_of(one)]
    return unique([(value, f"{value[0]}-{value[1]}-{value[2].lstrip('.')}") for value in values], "-")


def _values_of(one: model.Secret) -> list[tuple[str, str, str]]:
    """Namespace, name and key of each."""
    return [(one.namespace, one.name, key) for key in (*one.data, *one.string_data)]


def _beside(one: model.ConfigMap | model.Secret, variable: str, settings: Settings) -> str:
    """A ConfigMap or Secret that stands by itself."""
    kind = type(one).__name__
    metadata: dict[str, Any] = {"name": one.name, "namespace": one.namespace}
    metadata |= {key: dict(given) for key in ("labels", "annotations") if (given := getattr(one, key))}
    fields: dict[str, Any] = {"metadata": metadata}
    if isinstance(one, model.Secret):
        fields |= {"type": one.type, **_values(one, settings)}
    else:
        fields["data"] = dict(one.data)
    lines = "".join(f"    {key}={literal(value, 1)},\n" for key, value in fields.items())
    return f"""{variable} = pulumi_kubernetes.core.v1.{kind}(
    {text("-".join(_name(one)))},
{lines}    opts=pulumi.ResourceOptions(provider=cluster.provider),
)
"""


def _name(one: Any) -> tuple[str, ...]:
    """Its name for Pulumi, and its kind where that is needed to tell it from a Workspace."""
    kind = (type(one).__name__.lower(),) if isinstance(one, model.ConfigMap | model.Secret) else ()
    return logical_name(one.namespace, one.name), *kind


def _values(one: model.Secret, settings: Settings) -> dict[str, dict[str, Code]]:
    """The values by field: text as it is, what is no text in base64."""

    found: dict[str, dict[str, Code]] = {"data": {}, "string_data": {}}
    binary = _binary(one)
    for value in _values_of(one):
        field = "data" if value[2] in binary else "string_data"
        found[field][value[2]] = Code(f"config.require_secret({text(settings[value])})")
    return {field: values for field, values in found.items() if values}


def _binary(one: model.Secret) -> list[str]:
    """The keys whose value is no text."""
    return [key for key, value in one.data.items() if not _is_text(value)]


def _is_text(value: str) -> bool:
    try:
        base64.b64decode(value).decode()
    except UnicodeDecodeError:
        return False
    return True


def _component(
    kind: str, one: model.Workspace | model.InferenceSet, variable: str, args: Mapping[str, Any], after: Sequence[str]
) -> str:
    name = logical_name(one.namespace, one.name)
    given = {"cluster": Code("cluster"), **({} if name == one.name else {"workspace_name": one.name}), **args}
    opts = f"    opts=pulumi.ResourceOptions(depends_on=[{', '.join(after)}]),\n" if after else ""
    return f"""{variable} = {kind}(
    {text(name)},
    {literal(given, 1)},
{opts})
pulumi.export({text(name)}, {variable}.endpoint)
"""
