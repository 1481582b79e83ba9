"""The client side of the hub: names resolve to files, and files are written whole or not at all.

`source` finds the files of a checkpoint; `endpoint` is the only module that opens a connection; `atomic` saves.
"""
