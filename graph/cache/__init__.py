"""Results kept between runs: in memory over on disk."""
