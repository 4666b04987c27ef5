"""What normal looks like: baselines of people, of their peers and of the company."""
