"""OCI images, written without a daemon: a base, and on it a layer of dependencies, of this framework, of the app."""
