"""Search of a recipe's settings for a set of pictures."""
