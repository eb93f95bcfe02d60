"""Common corruptions: noise, blur, weather and digital faults of five severities, from (seed, image id) alone."""
