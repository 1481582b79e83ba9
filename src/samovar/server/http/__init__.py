"""What HTTP needs beyond the framework: undecoded paths, files handed to the kernel, links to further pages."""
