"""Data sets to look at: each commit is converted to Parquet once, in a process of its own, and then read from there.

`convert` is that process's program, `jobs` the queue in the database, `rows` and `query` read what was converted,
`where` turns a visitor's condition into SQL that holds nothing but it, `statistics` describes columns.
"""
