"""`penstock config`: what the settings are."""

from typing import Any

import typer

from penstock.commands.options import AsJson, ConfigFile, DataDir, settings_of, show, show_table
from penstock.opening import is_scaled_out
from penstock.settings import effective

app = typer.Typer(no_args_is_help=True, help="Check and show the effective settings.")


@app.command()
def check(data_dir: DataDir = None, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Name every setting that is wrong, and every PENSTOCK_ variable that is none; exit 0 where all is well."""
    settings = settings_of(config, data_dir, only_known=True)
    form = "scaled-out" if is_scaled_out(settings) else "embedded"
    show({"valid": True, "form": form}, as_json, f"The settings are valid ({form} form).")


@app.command("show")
def show_(data_dir: DataDir = None, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Every setting and its effective value; secrets only as set or not set."""
    values = effective(settings_of(config, data_dir))
    if as_json:
        show(values, as_json, "")
        return
    rows: list[dict[str, Any]] = [{"setting": name, "value": value} for name, value in values.items()]
    show_table(rows, as_json, "")
