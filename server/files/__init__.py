"""Files that clients send and read: paths, pictures, settings, the temp folder."""
