"""What servers of our own share, in `portable dev` and in a container: threads, deadlines, streamed answers."""
