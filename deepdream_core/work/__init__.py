"""One picture's way: from a file to whatever dreams, here or in the helper, and back into a file."""
