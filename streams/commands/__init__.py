"""The subcommands of `parcelwatch`, one file each, each with one `click` command named `command`."""
