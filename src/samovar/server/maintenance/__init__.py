"""Looking after a Hub: checking it, copying it while it runs, bringing it back. For people on its machine."""
