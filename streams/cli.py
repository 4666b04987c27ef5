"""The `parcelwatch` command: a list of subcommands, each loaded only when it is called for."""

from __future__ import annotations

from importlib import import_module

import click

COMMANDS = {
    "demo": "embedded Kafka, a simulated carrier's day with planted leaks, alerts as they fire",
    "broker": "run the embedded Kafka broker for things to be pointed at",
    "topics": "create, check or describe every topic parcelwatch needs",
    "worker": "run the pipeline: admit, relate, detect",
    "tell": "deliver alerts to webhooks, SIEMs, on-call and chat, each at its own pace",
    "deliveries": "see what became of each alert at each receiver, and send again what did not arrive",
    "simulate": "write a simulated carrier's days, with planted leaks and the truth beside them",
    "replay": "send a log file into Kafka at a chosen speed",
    "backtest": "run the same pipeline over files, without a broker",
    "formats": "what carriers' own logs may be written in, and what each line of one becomes",
    "evaluate": "inject leaks into a benign log: how many are found, at how many false alerts",
    "calibrate": "make the detectors keep to an alert budget, measured on your own history",
    "reveal": "turn a token back into the id it stands for, with the reason logged",
    "keys": "make and rotate the keys behind the tokens",
    "rules": "your own Sigma rules: check, try, load them without a restart",
    "honeytoken": "plant ghost parcels in partners' feeds; whoever opens one is told of at once",
    "verdict": "say what an alert turned out to be, and see how good each detector is by that",
    "suppress": "keep known alerts from being told, for a while",
    "watch": "look more closely at a person, for a while",
    "train": "learn from the history what is usual, and from verdicts what is a leak",
    "model": "list, check and switch trained models",
    "history": "keep every labelled touch as Parquet files that any engine reads",
    "rejected": "list what could not be admitted, and admit it again once mended",
    "doctor": "everything an on-call engineer asks first: green or red, with the remedy",
}

#: Modules that add subcommands to another module's group.
ADDED = {"model": "model_control"}


class LazyCommands(click.Group):
    """A group that imports a subcommand's module only when that subcommand is used, so `--help` is instant."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"streams.commands.{cmd_name}").command
        if cmd_name in ADDED:
            import_module(f"streams.commands.{ADDED[cmd_name]}")
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(package_name="parcelwatch")
def main() -> None:
    """Watch who reads parcel data, and say within a second that it is leaking.

    Settings come from the environment (PARCELWATCH_...) or from the TOML file that PARCELWATCH_CONFIG names; see
    docs/settings.md. Every command explains itself with --help.
    """
