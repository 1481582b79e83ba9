"""Text in and out of models: tokenizers on the Rust `tokenizers` library, without torch."""
