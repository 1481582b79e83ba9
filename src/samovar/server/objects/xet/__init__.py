"""The formats and hashes of the Xet protocol (https://huggingface.co/docs/xet), for receiving files."""
