"""HTTP: routes, binding by annotation, and answers. No server here, and no cloud."""
