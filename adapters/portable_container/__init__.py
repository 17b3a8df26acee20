"""A container: an HTTP server, workers that poll queues, and the drivers of whatever cloud it runs beside."""
