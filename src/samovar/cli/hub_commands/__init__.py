"""The subcommands of `samovar hub`. Each imports the server only when it runs, so that `--help` is quick."""
