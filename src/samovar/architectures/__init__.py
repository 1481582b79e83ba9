"""Architectures: one file per family — config fields, structure and weight names, nothing else."""
