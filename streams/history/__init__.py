"""What was logged before: files of it, sent into Kafka, or run through the same pipeline without a broker."""
