"""Weights on disk: names, invertible tensor operations, streaming in and sharded saving out."""
