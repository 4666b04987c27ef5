"""detect: what is known of each person, run through every detector."""
