"""The `holdfast` command."""

from __future__ import annotations

import click

from cli.demo.commands import demo
from cli.keys.commands import keys
from cli.stack.commands import stack


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="holdfast")
def main() -> None:
    """Holdfast keeps an application's writes safe while its database cannot take them."""


main.add_command(stack)
main.add_command(demo)
main.add_command(keys)
