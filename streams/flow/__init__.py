"""What flows and how: rows and blocks, the one order they are in, what a stage is, the alert on the wire."""
