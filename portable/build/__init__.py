"""From a project to an artifact: stage, vendor, bundle, check. What is a cloud's own stays in its adapter."""
