"""`kaito plan FILE...`: what the Workspaces would become, and what is wrong with them. No engine.

No network either, unless `--azure` asks for quota, VM sizes and prices (see `review`), or a Workspace names a model of
Hugging Face that has no preset.
"""

import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from kaito_components.cli import plan_json, plan_text
from kaito_components.errors import Finding, InvalidWorkspace
from kaito_components.judging import judged, weigh, weighed
from kaito_components.plan import NodeOptions, Plan
from kaito_components.plan import plan as decide
from kaito_components.plan.runtime import preset_ref
from kaito_components.plan.types import AzureOptions
from kaito_components.presets.resolving import resolve
from kaito_components.prices import CURRENCIES
from kaito_components.review import Review
from kaito_components.spec.model import Bundle, Workspace


class Format(StrEnum):
    """How the plan is printed."""

    text = "text"
    json = "json"


class Nodes(StrEnum):
    """Where nodes come from."""

    aks = "aks"
    existing = "existing"


def plan(
    files: Annotated[list[Path], typer.Argument(help="Workspace files, KAITO's YAML")],
    format: Annotated[Format, typer.Option(help="text or json")] = Format.text,
    nodes: Annotated[Nodes, typer.Option(help="aks makes a pool; existing uses the nodes that are there")] = Nodes.aks,
    gpus_per_node: Annotated[int | None, typer.Option(min=0, help="of existing nodes; 1 if not given")] = None,
    image_registry: Annotated[str | None, typer.Option(help="where your serving and tuning images are")] = None,
    region: Annotated[str | None, typer.Option(help="Azure region, for the cost: westeurope")] = None,
    azure: Annotated[
        str | None, typer.Option(metavar="SUBSCRIPTION", help="ask Azure for quota, VM sizes and prices in --region")
    ] = None,
    currency: Annotated[str, typer.Option(help="of the prices that are asked for")] = "USD",
    strict: Annotated[
        bool, typer.Option("--strict", help="warnings are errors, unless a Workspace accepts them")
    ] = False,
) -> None:
    """Say what these Workspaces would become.

    Exit code 0: nothing stands in the way; 1: there are errors; 2: wrong usage, or a file that cannot be read.
    """
    from kaito_components.spec.reader import read_files

    asked = _azure_options(azure, region, currency)
    try:
        bundle = read_files(files)
    except InvalidWorkspace as bad:
        _leave_with(format, bad.findings)
    beside = [weigh(found, {}, strict) for found in bundle.findings]
    for found in beside:
        print(f"{found.severity}: {found}", file=sys.stderr)
    options = NodeOptions(provider=nodes.value, gpus_per_node=gpus_per_node)
    planned = [_plan(workspace, bundle, options, image_registry, region) for workspace in bundle.workspaces]
    review = Review(asked, existing=())  # nothing is known of a stack here: all nodes count as new
    planned = _reviewed(planned, review, strict)
    if format is Format.json:
        print(plan_json.dump(planned))
    else:
        pools = [plan for _, plan, _ in planned if plan and plan.pool]
        total = replace(review.total, change_per_hour=None)
        plan_text.show(planned, total if region and len(pools) > 1 else None)
    said = [*beside, *(found for _, _, findings in planned for found in findings)]
    raise typer.Exit(1 if any(found.severity == "error" for found in said) else 0)


Planned = tuple[Workspace, Plan | None, tuple[Finding, ...]]


def _plan(
    workspace: Workspace, bundle: Bundle, options: NodeOptions, registry: str | None, region: str | None
) -> Planned:
    """The plan, or None where preset or size are unknown; and what there is to say."""
    try:
        model = resolve(named.name if (named := preset_ref(workspace)) else None)
        made = decide(workspace, bundle=bundle, nodes=options, image_registry=registry, region=region, model=model)
    except InvalidWorkspace as bad:
        return workspace, None, (*bad.findings, *workspace.findings)
    return workspace, made, made.findings


def _azure_options(subscription: str | None, region: str | None, currency: str) -> AzureOptions:
    if subscription is not None and not region:
        raise typer.BadParameter(
            "needs --region: quota, VM sizes and prices are those of a region", param_hint="--azure"
        )
    if currency not in CURRENCIES:
        raise typer.BadParameter(f"is none of {', '.join(CURRENCIES)}", param_hint="--currency")
    if currency != "USD" and subscription is None:
        raise typer.BadParameter("needs --azure: prices in the package are in USD", param_hint="--currency")
    return AzureOptions(subscription is not None, subscription, region, currency)


def _reviewed(planned: list[Planned], review: Review, strict: bool) -> list[Planned]:
    """The same with costs and with what Azure says of all of them together; all findings as they weigh in the end."""
    found = iter(review.of([plan for _, plan, _ in planned if plan]))
    whole: list[Planned] = []
    for workspace, plan, findings in planned:
        seen = judged(next(found), strict) if plan else None
        whole.append((workspace, seen, seen.findings if seen else tuple(weighed(findings, workspace, strict))))
    return whole


def _leave_with(format: Format, findings: tuple[Finding, ...]) -> NoReturn:
    """The files themselves are not right: there is nothing to plan."""
    for found in findings:
        print(f"{found.severity}: {found}", file=sys.stderr)
    if format is Format.json:
        print("[]")
    raise typer.Exit(2 if any(found.code == "unreadable-file" for found in findings) else 1)
