"""Kafka from outside the stream: topics, records sent in and read back, the embedded broker."""
