"""The adapter for NATS: queues, buckets and more on JetStream, on servers of your own."""
