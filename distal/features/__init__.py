"""See images through frozen networks, and learn classes from what they see."""
