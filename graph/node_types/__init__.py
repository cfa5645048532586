"""Node types as data: descriptions for editors and other processes, and repeated declaration of changing nodes."""
