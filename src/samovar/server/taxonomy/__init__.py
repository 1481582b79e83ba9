"""The field's lists: tasks, libraries, languages, by the ids under which cards and filters name them."""
