"""One class an event source. Each decodes what the worker hands over, and encodes what the function answered."""
