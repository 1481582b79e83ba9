"""Large files by their SHA-256, wherever they are kept, and the protocols that bring them here."""
