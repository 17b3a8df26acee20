"""Built artifacts under their cloud's own runtime client, and the real parts that takes."""
