"""Git: objects, references and the smart protocol. Knows nothing of accounts or of HTTP routes."""
