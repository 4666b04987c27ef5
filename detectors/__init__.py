"""What a leak looks like: one detector, one file. Pure: no I/O, no clock, no Kafka, no settings."""
