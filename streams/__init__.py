"""The pipeline: admit → relate → detect → tell, and what carries it. Everything that touches Kafka, time or disk."""
