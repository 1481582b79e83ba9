"""What may happen: permissions, commits, accounts, metadata. Services know no HTTP."""
