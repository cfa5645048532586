"""Files that clients upload and download: paths, pictures, settings, the temp folder."""
