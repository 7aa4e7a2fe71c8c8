"""The `kaito` command, one module a subcommand. Exit codes: 0 fine, 1 findings of severity error, 2 usage."""


def main() -> None:
    """Entry point of the `kaito` script."""
    import typer

    from kaito_components.cli import chat, convert, events, logs, models, plan, status

    app = typer.Typer(
        no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False,
        help="KAITO Workspaces as Pulumi components: see what they become, and how they are.",
    )  # fmt: skip
    app.callback()(lambda: None)
    app.command("plan")(plan.plan)
    app.add_typer(models.command(), name="models")
    app.command("convert")(convert.convert)
    app.command("status")(status.status)
    app.command("events")(events.events)
    app.command("logs")(logs.logs)
    app.command("chat")(chat.chat)
    app()
