"""What a notebook shows: a bar for the phase at work, and a widget to label what is asked."""
