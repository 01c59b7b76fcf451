"""The subcommands of `penstock`, a module per subject."""
