"""What models are for: heads, losses and output types, each written once for every backbone."""
