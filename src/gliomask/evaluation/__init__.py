"""From predictions and truth to scores that say what they are. Counts first; knows no pictures."""
