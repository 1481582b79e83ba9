"""Recipes: for each task how a file of examples becomes a trainer. What `samovar train` runs."""
