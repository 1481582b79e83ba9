"""What the files of a repository say about it: its card, its configuration, its weights, its tags."""
